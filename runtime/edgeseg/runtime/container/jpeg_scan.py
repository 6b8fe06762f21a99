"""Whether the entropy-coded data of a JPEG are used up exactly by its pixels.

libjpeg fills what is missing with gray and skips what is left over; it tells that to stderr alone. A damaged scan gives
itself away all the same: codes of variable length fall out of step, so that the data end before the pixels do, or
after. Without its end marker a scan that ends early makes the decoder wait for more, and OpenCV (4.11 and newer)
reports that; with an older one fewer damaged files are found.
"""

from __future__ import annotations

import functools
import itertools
import struct
from typing import Any

import cv2
import numpy as np

from edgeseg.runtime.container.content import DamagedError
from edgeseg.runtime.container.jpeg import Layout

_END = b"\xff\xd9"
# Codes of ones alone do not exist, so of these bytes a decoder gets next to no pixels; a whole scan uses none of them.
_SPARE = b"\xff\x00" * 8
# Read ahead by a decoder (at most 8 bytes) and the few that some cameras append.
_TAIL = 24
_GRAY_EIGHTH = cv2.IMREAD_REDUCED_GRAYSCALE_8 | cv2.IMREAD_IGNORE_ORIENTATION
_COLOUR = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
_NOISE = 96  # bytes


def decode(data: bytes, layout: Layout, flags: int) -> Any:
    """Decode like `cv2.imdecode`, and refuse data that end before the pixels do, at no cost.

    Args:
        data: The whole file.
        layout: From `jpeg.look`.
        flags: As for `cv2.imdecode`.

    Returns:
        What `cv2.imdecode` returns; None for a file that it does not take.

    Raises:
        DamagedError: The data end early.
    """
    if not layout.simple:
        return _decode(data, flags)
    pixels = _decode(data[: layout.scans[0].end] + _SPARE, flags)
    if pixels is None and _decode(data, flags) is None:
        return None
    if pixels is None or _stopped(pixels, data, flags):
        raise DamagedError("damaged, its pixels end early")
    return pixels


def verify(data: bytes, layout: Layout) -> None:
    """Decode a second time, to find data that are left over, and restart intervals or scans that end early.

    Raises:
        DamagedError: They are not used up exactly.
    """
    if layout.simple and layout.restarts:
        _verify_intervals(data, layout)
    elif layout.simple:
        _verify_scan(data[: layout.scans[0].end])
    elif len(layout.scans) > 1:
        _verify_scans(data, layout)


def _verify_scan(data: bytes) -> None:
    """Of a file up to the end of its one scan: a whole one cannot do without its last bytes."""
    shorter = _decode(data[:-_TAIL], _GRAY_EIGHTH)
    if shorter is None:
        return
    if not _tells_the_end():
        whole = _decode(data + _END, _GRAY_EIGHTH)
        if _repeats(whole) or not np.array_equal(shorter, whole):
            return
    raise DamagedError("damaged, more data than pixels")


def _verify_intervals(data: bytes, layout: Layout) -> None:
    """Make each restart interval a picture by itself, one row of MCUs, and check that."""
    scan = layout.scans[0]
    if layout.interval * layout.mcu_px[1] >= 1 << 16 or not _tells_the_end():
        return
    tables = b"".join(data[begin:end] for begin, end in layout.tables)
    edges = (scan.begin - 2, *layout.restarts, scan.end)
    left = layout.mcus
    for before, after in itertools.pairwise(edges):
        frame = _frame_header(data, layout, min(left, layout.interval))
        part = data[:2] + tables + frame + data[scan.header : scan.begin] + data[before + 2 : after]
        if _decode(part + _SPARE, _GRAY_EIGHTH) is None:
            raise DamagedError("damaged, its pixels end early")
        if after - before > 2 * _TAIL:
            _verify_scan(part)
        left -= layout.interval


def _frame_header(data: bytes, layout: Layout, n_mcus: int) -> bytes:
    """The frame header for a picture of one row of MCUs."""
    length = int.from_bytes(data[layout.frame + 2 : layout.frame + 4], "big")
    header = bytearray(data[layout.frame : layout.frame + 2 + length])
    header[5:9] = struct.pack(">HH", layout.mcu_px[0], n_mcus * layout.mcu_px[1])
    return bytes(header)


def _verify_scans(data: bytes, layout: Layout) -> None:
    """Of several scans none can be decoded alone; but to one that ends early, what is put behind it makes a difference.

    Data that are left over are not found: a whole scan, too, may end with bytes that change no pixel.
    """
    noise = np.random.default_rng(0).integers(1, 255, _NOISE, np.uint8).tobytes()
    longer = data[: layout.scans[0].header]
    for scan, following in itertools.zip_longest(layout.scans, layout.scans[1:]):
        longer += data[scan.header : scan.end] + noise + data[scan.end : following.header if following else len(data)]
    if not np.array_equal(_decode(longer, _COLOUR), _decode(data, _COLOUR)):
        raise DamagedError("damaged, its pixels end early")


def _decode(data: bytes, flags: int) -> Any:
    return cv2.imdecode(np.frombuffer(data, np.uint8), flags)


@functools.cache
def _tells_the_end() -> bool:
    """Whether this OpenCV reports data that end early (4.11 and newer do)."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    coded = cv2.imencode(".jpg", noise)[1].tobytes()
    return _decode(coded[: len(coded) // 2], cv2.IMREAD_GRAYSCALE) is None


def _stopped(pixels: Any, data: bytes, flags: int) -> bool:
    """For an older OpenCV, which repeats the last row it got: whether the picture is not what the whole file gives."""
    return not _tells_the_end() and _repeats(pixels) and not np.array_equal(pixels, _decode(data, flags))


def _repeats(pixels: Any) -> bool:
    return len(pixels) < 2 or np.array_equal(pixels[-1], pixels[-2])
