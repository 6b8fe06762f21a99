"""PNG: chunks with checksums (PNG specification, third edition, section 5)."""

from __future__ import annotations

import struct
import zlib

from edgeseg.runtime.container.content import Content, DamagedError, Palette, palette_kind, truncated
from edgeseg.runtime.container.exif import orientation

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PALETTE = 3  # colour type in IHDR
# Chunks before the pixels that say something; the others are only checked.
_TOLD = (b"IHDR", b"PLTE", b"eXIf", b"acTL")


def look(data: bytes) -> Content:
    """Walk all chunks to the end, with their checksums.

    Raises:
        DamagedError: The file ends early, a checksum is wrong, or the header is missing.
    """
    told: dict[bytes, bytes] = {}
    position = len(SIGNATURE)
    while True:
        if position + 12 > len(data):
            raise truncated()
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise truncated()
        if zlib.crc32(memoryview(data)[position + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            raise DamagedError(f"damaged, wrong checksum in its {kind.decode('latin-1')} chunk")
        if kind in _TOLD:
            told.setdefault(kind, data[position + 8 : end - 4])
        if kind == b"IEND":
            return _content(told)
        position = end


def _content(told: dict[bytes, bytes]) -> Content:
    header = told.get(b"IHDR", b"")
    if len(header) != 13:
        raise DamagedError("damaged, its header is missing")
    width, height, bits, color_type = struct.unpack_from(">IIBB", header)
    animation = told.get(b"acTL", b"")
    return Content(
        container="PNG",
        size_px=(height, width),
        bits=bits,
        palette=_palette(told.get(b"PLTE", b""), bits) if color_type == _PALETTE else None,
        orientation=orientation(told.get(b"eXIf", b"")),
        frames=int.from_bytes(animation[:4], "big") if len(animation) == 8 else 1,
    )


def _palette(chunk: bytes, bits: int) -> Palette:
    return palette_kind(list(zip(chunk[0::3], chunk[1::3], chunk[2::3], strict=False)), bits)
