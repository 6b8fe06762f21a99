"""TIFF and BigTIFF: how the pixels are coded, and whether all strips or tiles are there (TIFF 6.0)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgeseg.runtime.container.content import Content, DamagedError, Palette, palette_kind, truncated
from edgeseg.runtime.container.directory import Tags, directories

_KIND, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _ORIENTATION = 254, 256, 257, 258, 259, 262, 274
_STRIP_OFFSETS, _SAMPLES, _ROWS, _STRIP_BYTES, _PLANES, _COLOURS = 273, 277, 278, 279, 284, 320
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_BYTES = 322, 323, 324, 325
_WHITE_IS_ZERO, _PALETTE, _YCBCR = 0, 3, 6
_INKS = {4: "a transparency mask", 5: "CMYK", 8: "CIELab", 9: "ICCLab", 10: "ITULab", 32803: "raw sensor"}
_UNCOMPRESSED, LZW, DEFLATE, PACKBITS, LZMA, ZSTANDARD, JPEG = 1, 5, (8, 32946), 32773, 34925, 50000, 7
_LOSSLESS = (_UNCOMPRESSED, 2, 3, 4, LZW, *DEFLATE, PACKBITS, LZMA, ZSTANDARD)  # 2 to 4 are those of fax
_REDUCED = 1  # bit of _KIND: a smaller copy of another page
# An LZW encoder never writes the code 0 this often in a row: it knows longer strings by then.
_ZEROS = bytes(64)
_MOST_BITS = 64


@dataclass(frozen=True)
class Part:
    """A strip or tile: where it begins in the file, its bytes there, and the bytes of the pixels in it."""

    begin: int
    stored: int
    pixels: int


def look(data: bytes) -> Content:
    """Read the directories and check that every strip or tile lies inside the file.

    Raises:
        DamagedError: The file ends early, a directory is broken, or a strip is blanked.
    """
    first, *others = directories(data)
    if not {_WIDTH, _HEIGHT} <= first.keys():
        raise DamagedError("damaged, its first directory has no size")
    bits, photometric = max(first.get(_BITS) or (1,)), _one(first, _PHOTOMETRIC, 1)
    if not 1 <= bits <= _MOST_BITS:
        raise DamagedError(f"damaged, its header says {bits} bits a channel")
    _check_parts(data, first)
    loss = None if compression_of(first) in _LOSSLESS else "TIFF with lossy compression"
    if photometric == _YCBCR:
        loss = "TIFF in YCbCr colours"
    pages = sum(not _one(tags, _KIND, 0) & _REDUCED for tags in others)
    return Content(
        container="TIFF",
        size_px=(_one(first, _HEIGHT, 0), _one(first, _WIDTH, 0)),
        bits=bits,
        loss=loss,
        palette=_palette(first.get(_COLOURS, ()), bits) if photometric == _PALETTE else None,
        white_is_zero=photometric == _WHITE_IS_ZERO,
        inks=_INKS.get(photometric),
        orientation=_one(first, _ORIENTATION, 1),
        frames=1 + pages,
    )


def _check_parts(data: bytes, tags: Tags) -> None:
    compression = compression_of(tags)
    left = 2 * len(data)
    for part in parts(tags):
        # Some programs write a wrong count for uncompressed strips; readers then take what the sizes say.
        size = min(part.stored, part.pixels) if compression == _UNCOMPRESSED else part.stored
        if part.begin + size > len(data):
            raise truncated()
        left -= size
        if left < 0:
            raise DamagedError("damaged, its strips overlap")
        # Zeros at the end may be padding.
        if compression == LZW and _ZEROS in data[part.begin : part.begin + size].rstrip(b"\x00"):
            raise DamagedError("damaged, a part of its pixels is blanked")


def parts(tags: Tags) -> list[Part]:
    """The strips or tiles of a page."""
    offsets, sizes = tags.get(_STRIP_OFFSETS), tags.get(_STRIP_BYTES, ())
    if offsets is None:
        offsets, sizes = tags.get(_TILE_OFFSETS, ()), tags.get(_TILE_BYTES, ())
    return [Part(*each) for each in zip(offsets, sizes, _part_bytes(tags), strict=False)]


def compression_of(tags: Tags) -> int:
    """The code of the compression of a page; 1 is none."""
    return _one(tags, _COMPRESSION, 1)


def _part_bytes(tags: Tags) -> Iterator[int]:
    """Uncompressed bytes of each strip or tile in turn, without end; the last strip of a plane may be shorter."""
    tiled = _TILE_OFFSETS in tags and _STRIP_OFFSETS not in tags
    height, width = _one(tags, _HEIGHT, 0), _one(tags, _TILE_WIDTH if tiled else _WIDTH, 0)
    rows = _one(tags, _TILE_HEIGHT, 0) if tiled else min(_one(tags, _ROWS, height), height)
    samples = _one(tags, _SAMPLES, 1) if _one(tags, _PLANES, 1) == 1 else 1
    row = (width * samples * max(tags.get(_BITS) or (1,)) + 7) // 8
    left = height
    while True:
        yield row * (rows if tiled else min(rows, left))
        left = left - rows if left > rows else height


def _palette(levels: tuple[int, ...], bits: int) -> Palette:
    """Of 16-bit levels: first all reds, then all greens, then all blues."""
    shift = 8 if max(levels, default=0) > 255 else 0  # some programs write 8-bit levels, and readers know
    n = len(levels) // 3
    entries = [(levels[k] >> shift, levels[n + k] >> shift, levels[2 * n + k] >> shift) for k in range(n)]
    return palette_kind(entries, bits)


def _one(tags: Tags, tag: int, default: int) -> int:
    return (tags.get(tag) or (default,))[0]
