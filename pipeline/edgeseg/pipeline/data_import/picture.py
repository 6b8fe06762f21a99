"""A picture of a source as edgeseg will read it: its bytes where the reader takes them, else a PNG of its pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgeseg.pipeline.data_import.source import Size
from edgeseg.runtime import container
from edgeseg.runtime.data.imagefile import IMAGE_SUFFIXES, Frame, decode, to_color
from edgeseg.runtime.errors import DataError
from edgeseg.runtime.faults import FaultError
from edgeseg.runtime.spec.input_spec import IntensityWindow

_SUFFIX_OF = {"JPEG": ".jpg", "PNG": ".png", "BMP": ".bmp", "TIFF": ".tif", "WebP": ".webp"}
# Kinds of fault that lossless conversion puts right.
_PALETTE, _TURNED, _UNKNOWN = "palette", "turned image", "unreadable"
_OTHERS = (b"GIF8", b"\x00\x00\x00\x0cjP", *(b"P%d" % kind for kind in range(1, 7)))  # cv2 reads them exactly
_TURNS: dict[int, Callable[[Any], Any]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}


@dataclass(frozen=True)
class Picture:
    """What goes into the data set.

    Attributes:
        data: The file's bytes.
        suffix: Its suffix.
        drawn_px: (height, width) of the picture that the annotation refers to.
        turn: EXIF orientation that makes of a mask of that size one of the picture as it will be read; 1 for none.
        gray: Whether it has no colours.
        levels: Of 16-bit pictures the lowest and highest value, else None.
        converted: Why it is a PNG of its pixels, or None.
    """

    data: bytes
    suffix: str
    drawn_px: Size
    turn: int
    gray: bool
    levels: IntensityWindow | None
    converted: str | None = None


def take(path: Path, declared: Size | None, *, annotated: bool) -> Picture:
    """Read a picture and decide how its annotation lies on it.

    Args:
        path: The file.
        declared: (height, width) that the annotation says.
        annotated: Whether there is an annotation that must fit.

    Raises:
        DataError: It cannot be taken; where it is a `FaultError` its message does not have the file.
    """
    data = _bytes(path)
    converted = None
    try:
        pixels = decode(path, thorough=True)
    except FaultError as error:
        pixels, converted = _other(data, error), error.fault.message
    orientation, stored_px = _facts(data, pixels)
    turned = _is_turned(orientation, stored_px, declared) if annotated else True
    if converted and orientation != 1:
        pixels, turn = (_turn(pixels, orientation) if turned else pixels), 1
    else:  # a JPEG is turned whenever it is read
        turn = 1 if turned else orientation
    drawn_px = stored_px if turn != 1 else pixels.shape[:2]
    levels = _levels(pixels)
    rgb = to_color(pixels, "rgb", path, levels)
    gray = bool(np.array_equal(rgb[..., 0], rgb[..., 1]) and np.array_equal(rgb[..., 0], rgb[..., 2]))
    if converted:
        data = cv2.imencode(".png", pixels)[1].tobytes()
    suffix = ".png" if converted else _suffix(path, data)
    return Picture(data, suffix, drawn_px, turn, gray, levels, converted)


def turned(mask: Any, orientation: int) -> Any:
    """Turn pixels as EXIF orientation 1 to 8 says."""
    return _turn(mask, orientation)


def _turn(pixels: Any, orientation: int) -> Any:
    return np.ascontiguousarray(_TURNS[orientation](pixels))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})") from error


def _facts(data: bytes, pixels: Frame) -> tuple[int, Size]:
    """Orientation, and size before it is applied."""
    try:
        content = container.look(data)
    except container.DamagedError:  # one of `_OTHERS`, which know no orientation
        return 1, (pixels.shape[0], pixels.shape[1])
    return content.orientation, content.size_px


def _other(data: bytes, error: FaultError) -> Frame:
    """Pixels of a file that the reader does not take, where nothing is lost or guessed by converting them."""
    kind = error.fault.kind
    if kind in (_PALETTE, _TURNED):
        flags = cv2.IMREAD_UNCHANGED
    elif kind == _UNKNOWN and data.startswith(_OTHERS):
        flags = cv2.IMREAD_UNCHANGED
        if data.startswith(b"GIF8") and _n_frames(data) != 1:
            raise error
    else:
        raise error
    pixels: Frame | None = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None:
        raise error
    return pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels


def _n_frames(data: bytes) -> int:
    done, frames = cv2.imdecodemulti(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return len(frames) if done else 0


def _is_turned(orientation: int, stored: Size, declared: Size | None) -> bool:
    """Whether an annotation refers to the picture turned by its tag, rather than as stored."""
    turned = stored[::-1] if orientation >= 5 else stored
    if declared is not None and declared not in (stored, turned):
        raise DataError(f"the annotation is for {_words(declared)} pixels, the image has {_words(turned)}")
    if orientation == 1:
        return True
    if declared is None or stored == turned:
        raise DataError(
            f"its orientation tag is {orientation}, and nothing says whether the annotation was drawn on the picture "
            "turned by it or as stored; turn the pixels and drop the tag, or drop the tag, then import again"
        )
    return declared == turned


def _levels(pixels: Frame) -> IntensityWindow | None:
    if pixels.dtype != np.uint16:
        return None
    lowest, highest = int(pixels.min()), int(pixels.max())
    return lowest, max(highest, lowest + 1)


def _suffix(path: Path, data: bytes) -> str:
    suffix = path.suffix.lower()
    return suffix if suffix in IMAGE_SUFFIXES else _SUFFIX_OF[container.look(data).container]


def _words(size_px: Size) -> str:
    return f"{size_px[1]}x{size_px[0]}"
