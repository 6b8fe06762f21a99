"""Films for the tests: frames whose mask is known, as OpenCV writes them, and with what only cameras write."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

FPS = 10


def frame(number: int, height: int = 64, width: int = 96) -> np.ndarray:
    """A BGR frame, dark left and bright right, the border 2 px further right in each frame."""
    pixels = np.full((height, width, 3), 20, np.uint8)
    pixels[:, 20 + 2 * number :] = 220
    return pixels


def write_film(path: Path, n: int = 12, codec: str = "MJPG", size: tuple[int, int] = (64, 96)) -> Path:
    """Write `n` frames; a film of colour has a red stripe on top."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), FPS, (size[1], size[0]))
    assert writer.isOpened()
    for number in range(n):
        writer.write(frame(number, *size))
    writer.release()
    return path


def write_avi_of(path: Path, frames: Sequence[np.ndarray]) -> Path:
    """An AVI of JPEG frames that need not have one size; the header states the first one's."""
    height, width = frames[0].shape[:2]
    jpegs = [cv2.imencode(".jpg", one, [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes() for one in frames]
    main = struct.pack("<14I", 100_000, 0, 0, 0x10, len(jpegs), 0, 1, 0, width, height, 0, 0, 0, 0)
    stream = b"vidsMJPG" + struct.pack(
        "<IHHIIIIIIII4H", 0, 0, 0, 0, 1, FPS, 0, len(jpegs), 0, 0, 0, 0, 0, width, height
    )
    picture = struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 24, b"MJPG", 0, 0, 0, 0, 0)
    header = _list(b"hdrl", _chunk(b"avih", main) + _list(b"strl", _chunk(b"strh", stream) + _chunk(b"strf", picture)))
    index, place = b"", 4
    for jpeg in jpegs:
        index += b"00dc" + struct.pack("<III", 0x10, place, len(jpeg))
        place += 8 + len(jpeg) + len(jpeg) % 2
    movie = _list(b"movi", b"".join(_chunk(b"00dc", jpeg) for jpeg in jpegs))
    path.write_bytes(_chunk(b"RIFF", b"AVI " + header + movie + _chunk(b"idx1", index)))
    return path


def turn(path: Path) -> Path:
    """Note in an MP4 that it is to be turned by 90 degrees clockwise, as a phone held upright does."""
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 4 + 40
    content[start : start + 20] = struct.pack(">5i", 0, 1 << 16, 0, -1 << 16, 0)
    path.write_bytes(bytes(content))
    return path


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _list(name: bytes, content: bytes) -> bytes:
    return _chunk(b"LIST", name + content)
