"""Frames of a film file or a camera, one at a time."""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.runtime.errors import ConfigError, DataError
from edgeseg.runtime.text.names import has_bytes

UInt8 = npt.NDArray[np.uint8]

# A container may state its number of frames from duration and rate alone, and be a little off.
_LOST_SHARE = 0.02


class Film:
    """An open film or camera.

    Attributes:
        name: What it is called in messages.
        fps: Frames a second, or None if not told.
        frames_stated: Frames by the file's own header, or None if not told (a camera).
        frames_read: Frames gone through so far, segmented or not.
    """

    def __init__(self, capture: Any, name: str, *, live: bool = False) -> None:
        self._capture, self._live = capture, live
        self.name = name
        # Phones write films lying down with a note how to turn them. This is OpenCV's default where it can.
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        fps, count = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.fps = float(fps) if math.isfinite(fps) and 0 < fps <= 1000 else None
        self.frames_stated = int(count) if math.isfinite(count) and 0 < count < 1e9 and not live else None
        self.frames_read = 0

    def frames(self, every: int = 1, most: int | None = None) -> Iterator[tuple[int, UInt8]]:
        """Yield (number from 1, frame), the frame uint8 (H, W, 3) in BGR order, upright. OpenCV brings
        frames of another size, as some recorders write them, to the first one's.

        Args:
            every: Yield the first frame and from there each such one.
            most: Yield at most so many.

        Raises:
            DataError: If no frame can be read, or the film ends long before its stated end.
        """
        given = 0
        while most is None or given < most:
            wanted = self.frames_read % every == 0
            pixels = self._next(decode=wanted)
            if pixels is None:
                self._check_end()
                return
            self.frames_read += 1
            if wanted:
                given += 1
                yield self.frames_read, pixels

    @property
    def missing(self) -> int:
        """Stated frames that did not come."""
        return max(0, (self.frames_stated or 0) - self.frames_read)

    def _next(self, *, decode: bool) -> UInt8 | None:
        try:
            if not self._capture.grab():
                return None
            if not decode:
                return np.empty(0, np.uint8)
            came, pixels = self._capture.retrieve()
        except cv2.error as error:
            words = " ".join(str(error).split())
            raise DataError(f"{self.name}: frame {self.frames_read + 1} cannot be decoded ({words})") from error
        if not came or pixels is None or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
            return None
        return np.asarray(pixels, np.uint8)

    def _check_end(self) -> None:
        if self._live:
            raise DataError(f"{self.name} gave no frame after {self.frames_read}: is it still plugged in?")
        if self.frames_read == 0:
            raise DataError(f"{self.name}: no frame in it can be decoded. Export it again, e.g. as MP4 with H.264.")
        if self.missing > max(1, _LOST_SHARE * (self.frames_stated or 0)):
            raise DataError(
                f"{self.name}: ended after {self.frames_read} of {self.frames_stated} frames: truncated or damaged. "
                "Copy or export it again."
            )


@contextmanager
def open_film(path: Path) -> Iterator[Film]:
    """Open a film file.

    Raises:
        DataError: If it is missing, empty, or no film that the installed OpenCV can read.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}): check its name and its rights") from error
    if size == 0:
        raise DataError(f"{path}: the file has 0 bytes; copy it again")
    with _plain_name(path) as name:
        # FFmpeg where it is built in: "any" would also try names with digits as numbered images.
        has_ffmpeg = cv2.CAP_FFMPEG in cv2.videoio_registry.getStreamBackends()
        capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG if has_ffmpeg else cv2.CAP_ANY)
        try:
            if not capture.isOpened() or capture.getBackendName() == "CV_IMAGES":
                message = "no readable film (truncated, damaged, or of a kind that this OpenCV cannot read)"
                raise DataError(f"{path}: {message}. Copy it again, or export it as MP4 with H.264.")
            yield Film(capture, str(path))
        finally:
            capture.release()


@contextmanager
def open_camera(number: int) -> Iterator[Film]:
    """Open a camera of this machine.

    Raises:
        ConfigError: If there is none of that number.
        DataError: If it cannot be opened.
    """
    device = Path(f"/dev/video{number}")
    if sys.platform == "linux" and not device.exists():
        there = ", ".join(sorted(str(one) for one in device.parent.glob("video*"))) or "none"
        raise ConfigError(
            f"camera {number}: {device} is not there (cameras here: {there}). Plug it in, or name another"
        )
    capture = cv2.VideoCapture(number)
    try:
        if not capture.isOpened():
            raise DataError(
                f"camera {number} cannot be opened: is another program using it, and may you read {device} "
                "(group video)?"
            )
        yield Film(capture, f"camera {number}", live=True)
    finally:
        capture.release()


@contextmanager
def _plain_name(path: Path) -> Iterator[str]:
    """The absolute path (no URL, no option), through a link where OpenCV cannot be given the name."""
    full = path.absolute()
    if not has_bytes(str(full)):
        yield str(full)
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / f"film{path.suffix if path.suffix.isascii() else ''}"
        link.symlink_to(full)
        yield str(link)
