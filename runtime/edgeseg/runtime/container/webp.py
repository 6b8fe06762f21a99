"""WebP: RIFF chunks, lossless or lossy (RFC 9649)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from edgeseg.runtime.container.content import Content, DamagedError, truncated
from edgeseg.runtime.container.exif import orientation

_LOSSY_START = b"\x9d\x01\x2a"
_LOSSLESS_START = 0x2F
_FRAME_HEADER = 16  # bytes of an ANMF chunk before the chunks in it


def is_webp(data: bytes) -> bool:
    """Whether the bytes begin as a WebP file does."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def look(data: bytes) -> Content:
    """Walk the chunks to the end.

    Raises:
        DamagedError: The file ends early, or holds no picture.
    """
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise truncated()
    size: tuple[int, int] | None = None
    loss, turned, frames = None, 1, 0
    for kind, chunk in _chunks(data[:end], 12):
        if kind == b"EXIF":
            turned = orientation(chunk)
        frames += kind == b"ANMF"
        inner = dict(_chunks(chunk, _FRAME_HEADER)) if kind == b"ANMF" else {kind: chunk}
        if b"VP8 " in inner:
            loss = "lossy WebP"
        size = size or _size(inner)
    if size is None:
        raise DamagedError("damaged, no picture is in it")
    return Content("WebP", size, loss=loss, orientation=turned, frames=max(frames, 1))


def _chunks(data: bytes, position: int) -> Iterator[tuple[bytes, bytes]]:
    while position + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, position)
        if position + 8 + length > len(data):
            raise truncated()
        yield kind, data[position + 8 : position + 8 + length]
        position += 8 + length + length % 2


def _size(chunks: dict[bytes, bytes]) -> tuple[int, int] | None:
    """(height, width) of the first picture among the chunks [px], or None."""
    lossy, lossless = chunks.get(b"VP8 ", b""), chunks.get(b"VP8L", b"")
    if len(lossy) >= 10 and lossy[3:6] == _LOSSY_START:
        width, height = struct.unpack_from("<HH", lossy, 6)
        return height & 0x3FFF, width & 0x3FFF
    if len(lossless) >= 5 and lossless[0] == _LOSSLESS_START:
        sides = int.from_bytes(lossless[1:5], "little")
        return (sides >> 14 & 0x3FFF) + 1, (sides & 0x3FFF) + 1
    return None
