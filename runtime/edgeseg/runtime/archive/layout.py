"""The one form of a bundle's zip: every byte around the contents follows from the entries' names and contents.

Stored entries, one behind the other without gaps, of 1980-01-01, readable by all, written by zip 2.0 on Unix; no extra
fields, no comments, no encryption, no ZIP64. Whoever reads recomputes these bytes and compares, so that none of them
can be changed unnoticed. Layouts: PKWARE's APPNOTE.TXT 6.3, sections 4.3.7, 4.3.12 and 4.3.16.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from edgeseg.runtime.errors import BundleError

ENTRY_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
LOCAL = struct.Struct("<4s5H3L2H")
LOCAL_SIGN, DIRECTORY_SIGN = b"PK\x03\x04", b"PK\x01\x02"
MOST_BYTES, MOST_ENTRIES = 0xFFFF_FFFE, 0xFFFE  # of an archive; one more would mean ZIP64

_DIRECTORY = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_VERSION, _UNIX = 20, 3 << 8
_TIME, _DATE = 0, 1 << 5 | 1  # 1980-01-01, the first day a zip can name
_MODE = 0o644 << 16


class Entry(NamedTuple):
    """What the bytes around an entry's content follow from.

    Attributes:
        name: Its path in the archive.
        crc32: Of its content.
        size: Of its content [bytes].
    """

    name: str
    crc32: int
    size: int


def local_header(entry: Entry) -> bytes:
    """The bytes in front of an entry's content."""
    name = entry.name.encode("ascii")
    fields = (_VERSION, 0, 0, _TIME, _DATE, entry.crc32, entry.size, entry.size, len(name), 0)
    return LOCAL.pack(LOCAL_SIGN, *fields) + name


def directory(entries: Iterable[Entry]) -> bytes:
    """The bytes behind the last content: the directory of all entries, and the end record."""
    records: list[bytes] = []
    offset = 0
    for entry in entries:
        name = entry.name.encode("ascii")
        fields = (_VERSION | _UNIX, _VERSION, 0, 0, _TIME, _DATE, entry.crc32, entry.size, entry.size, len(name))
        records.append(_DIRECTORY.pack(DIRECTORY_SIGN, *fields, 0, 0, 0, 0, _MODE, offset) + name)
        offset += LOCAL.size + len(name) + entry.size
    listed = b"".join(records)
    return listed + _END.pack(b"PK\x05\x06", 0, 0, len(records), len(records), len(listed), offset, 0)


def chunks(contents: Mapping[str, bytes]) -> Iterator[bytes]:
    """The bytes of an archive, piece by piece.

    Args:
        contents: Content by name, in the order of the entries.

    Raises:
        BundleError: If a name leads out of the archive or is not plain, or it gets too large for a zip.
    """
    entries = [Entry(name, zlib.crc32(content), len(content)) for name, content in contents.items()]
    _check(entries)
    for entry in entries:
        yield local_header(entry)
        yield contents[entry.name]
    yield directory(entries)


def _check(entries: Sequence[Entry]) -> None:
    for entry in entries:
        if not ENTRY_NAME.fullmatch(entry.name):
            raise BundleError(f"{entry.name!r} cannot be an entry of a bundle: letters, digits, '.', '_', '-' and '/'.")
    size = sum(LOCAL.size + _DIRECTORY.size + 2 * len(entry.name) + entry.size for entry in entries)
    if size > MOST_BYTES or len(entries) > MOST_ENTRIES:
        found = f"{len(entries)} entries of {size} bytes"
        raise BundleError(f"{found} are too many for one bundle ({MOST_BYTES} bytes at most). Pack fewer variants.")
