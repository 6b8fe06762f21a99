"""The overlays of a film: as a film again where this OpenCV can write one, else as pictures."""

from __future__ import annotations

import uuid
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.runtime.errors import DataError, EdgesegError
from edgeseg.runtime.files.atomic import replacing, write_bytes
from edgeseg.runtime.predict.outputs import OVERLAYS, mask_file, overlay_film
from edgeseg.runtime.predict.own_files import encode_own, seal_mp4
from edgeseg.runtime.text.names import has_bytes

UInt8 = npt.NDArray[np.uint8]

_CODEC = "mp4v"  # the one that OpenCV brings along everywhere
_FPS_UNKNOWN = 25.0


class FilmOverlay:
    """Takes pictures in order. What was written when a film breaks off is kept.

    Args:
        out: Output folder.
        place: Of the film in it.
        fps: Frames a second of the overlay film, or None if not known.
    """

    def __init__(self, out: Path, place: Path, fps: float | None) -> None:
        self._out, self._place, self._fps = out, place, fps or _FPS_UNKNOWN
        self._written = 0
        self._writer: Any = None
        self._size: tuple[int, int] | None = None
        self._temporary = Path()

    def __enter__(self) -> FilmOverlay:
        return self

    def write(self, picture: UInt8, frame: int) -> Path:
        """Add an RGB picture, uint8 (H, W, 3); returns the file that it is in.

        Raises:
            DataError: If its size is another than the first one's, which a film cannot take.
            EdgesegError: If it cannot be written.
        """
        size = (picture.shape[1], picture.shape[0])
        if self._size is None:
            self._size = size
            self._open(size)
        if self._writer is None:
            path = mask_file(self._out / OVERLAYS, self._place, frame)
            write_bytes(path, encode_own(picture))
            return path
        if size != self._size:
            width, height = self._size
            raise DataError(
                f"frame {frame} has {size[0]}x{size[1]} px and the first one {width}x{height}: "
                "a film of overlays takes one size; the mask is written"
            )
        self._writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        self._written += 1
        return overlay_film(self._out, self._place)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is None:
            return
        self._writer.release()  # writes the index, without which nothing can be played
        target = overlay_film(self._out, self._place)
        try:
            # OpenCV says nothing of a full disk.
            if _count(self._temporary) < self._written and kind is None:
                raise EdgesegError(f"{target} could not be written whole: is the disk full?")
            seal_mp4(self._temporary)
            with replacing(target) as last:
                self._temporary.replace(last)
        finally:
            self._temporary.unlink(missing_ok=True)

    def _open(self, size: tuple[int, int]) -> None:
        target = overlay_film(self._out, self._place)
        target.parent.mkdir(parents=True, exist_ok=True)
        self._temporary = target.with_name(f".film.{uuid.uuid4().hex[:8]}.tmp.mp4")
        if has_bytes(str(self._temporary)):  # of a folder of the output: a name that OpenCV cannot be given
            return
        writer = cv2.VideoWriter(str(self._temporary), cv2.VideoWriter.fourcc(*_CODEC), self._fps, size)
        if writer.isOpened():
            self._writer = writer
        else:
            self._temporary.unlink(missing_ok=True)


def _count(film: Path) -> int:
    capture = cv2.VideoCapture(str(film))
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
    capture.release()
    return count
