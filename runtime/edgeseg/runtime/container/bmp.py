"""BMP: a header, perhaps a palette, rows (Microsoft's BITMAPFILEHEADER, BITMAPCOREHEADER, BITMAPINFOHEADER)."""

from __future__ import annotations

import struct

from edgeseg.runtime.container.content import Content, DamagedError, Palette, palette_kind, truncated

SIGNATURE = b"BM"
_CORE_HEADER = 12  # bytes; OS/2 1.x: 16-bit sizes and palette entries of three bytes
_BITS = {1: 1, 2: 2, 4: 4, 8: 8, 16: 5, 24: 8, 32: 8}  # of a channel, by bits of a pixel
_UNCOMPRESSED = (0, 3, 6)


def look(data: bytes) -> Content:
    """Read the headers and check that all rows are there.

    Raises:
        DamagedError: The file ends early or its header is not one that is read.
    """
    try:
        offset, header = struct.unpack_from("<II", data, 10)
        core = header == _CORE_HEADER
        width, height, _, pixel_bits = struct.unpack_from("<HHHH" if core else "<iiHH", data, 18)
        compression, stored, colours = (0, 0, 0) if core else _more(data)
    except struct.error as error:
        raise truncated() from error
    if pixel_bits not in _BITS or width <= 0 or height == 0:
        raise DamagedError(f"damaged, its header says {width}x{abs(height)} pixels of {pixel_bits} bits")
    row = (width * pixel_bits + 31) // 32 * 4
    if len(data) < offset + (row * abs(height) if compression in _UNCOMPRESSED else stored):
        raise truncated()
    entry = 3 if core else 4
    begin = 14 + header
    entries = min(colours or 1 << pixel_bits, 1 << pixel_bits) if pixel_bits <= 8 else 0
    return Content(
        container="BMP",
        size_px=(abs(height), width),
        bits=_BITS[pixel_bits],
        palette=_palette(data[begin : begin + entries * entry], entry, pixel_bits) if entries else None,
    )


def _more(data: bytes) -> tuple[int, int, int]:
    """Compression, bytes of the stored rows, colours of the palette (0: all)."""
    compression, stored, _, _, colours = struct.unpack_from("<IIiiI", data, 30)
    return compression, stored, colours


def _palette(table: bytes, entry: int, bits: int) -> Palette:
    return palette_kind(list(zip(table[2::entry], table[1::entry], table[0::entry], strict=False)), bits)
