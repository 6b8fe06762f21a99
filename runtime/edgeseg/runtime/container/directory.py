"""TIFF's directories of tags, which EXIF blocks use too (TIFF 6.0, section 2; BigTIFF)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from edgeseg.runtime.container.content import DamagedError, truncated

Tags = dict[int, tuple[int, ...]]

_SIGNATURES = {b"II*\x00": "<", b"MM\x00*": ">", b"II+\x00": "<", b"MM\x00+": ">"}
# Whole numbers only: 1 byte, 3 short, 4 long, 13 directory, 16 and 18 long8; other types say nothing we ask for.
_FORMATS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
JPEG_TABLES, _UNDEFINED = 347, 7  # the one tag of bytes without a meaning to TIFF itself that is asked for


def is_tiff(data: bytes) -> bool:
    """Whether the bytes begin as a TIFF or BigTIFF does."""
    return data[:4] in _SIGNATURES


def first_directory(data: bytes) -> Tags:
    """Read the tags of the first directory.

    Raises:
        DamagedError: The bytes are no TIFF, or end early.
    """
    return next(directories(data))


def directories(data: bytes) -> Iterator[Tags]:
    """Yield the tags of each directory in turn, those with whole numbers alone.

    Raises:
        DamagedError: The bytes are no TIFF, end early, or the chain of directories is broken.
    """
    # Directories and what they point to do not overlap, but for a little that pages may share: a few bytes could stand
    # for any number of them.
    left = 2 * len(data)
    if not is_tiff(data):
        raise DamagedError("damaged, no TIFF header")
    order, big = _SIGNATURES[data[:4]], data[2:4] in (b"+\x00", b"\x00+")
    try:
        (offset,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
        seen: set[int] = set()
        while offset:
            if offset in seen:
                raise DamagedError("damaged, its directories form a ring")
            seen.add(offset)
            tags, offset, taken = _read(data, offset, order, big, left)
            left -= taken
            yield tags
    except (struct.error, OverflowError) as error:
        raise truncated() from error
    if not seen:
        raise DamagedError("damaged, it has no directory")


def _read(data: bytes, offset: int, order: str, big: bool, left: int) -> tuple[Tags, int, int]:
    """The tags of one directory, the offset of the next one, 0 after the last, and its bytes, at most `left`."""
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, offset)
    offset += 8 if big else 2
    size, pointer, inline = (20, "Q", 8) if big else (12, "I", 4)
    tags: Tags = {}
    if offset + count * size > len(data):
        raise truncated()
    taken = count * size
    for entry in range(offset, offset + count * size, size):
        tag, kind, n = struct.unpack_from(f"{order}HH{pointer}", data, entry)
        if kind not in _FORMATS and (tag, kind) != (JPEG_TABLES, _UNDEFINED):
            continue
        layout = f"{order}{n}{_FORMATS.get(kind, 'B')}"
        at = entry + size - inline
        if n > len(data):
            raise truncated()
        if struct.calcsize(layout) > inline:
            (at,) = struct.unpack_from(order + pointer, data, at)
            taken += struct.calcsize(layout)
        if taken > left:
            raise DamagedError("damaged, its directories overlap")
        tags[tag] = struct.unpack_from(layout, data, at)
    (following,) = struct.unpack_from(order + pointer, data, offset + count * size)
    return tags, following, taken
