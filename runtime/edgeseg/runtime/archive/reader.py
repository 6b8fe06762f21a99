"""Reading a bundle's zip: everything but the contents is recomputed on opening, each content is checked when read."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import BinaryIO

from edgeseg.runtime.archive.layout import (
    DIRECTORY_SIGN,
    ENTRY_NAME,
    LOCAL,
    LOCAL_SIGN,
    MOST_BYTES,
    MOST_ENTRIES,
    Entry,
    directory,
    local_header,
)


class ArchiveError(Exception):
    """A file is not in the form; the message says where."""


class Archive:
    """An open archive, of which only the contents of entries are still to be checked. For one thread at a time."""

    def __init__(self, file: BinaryIO, entries: list[Entry], starts: list[int]) -> None:
        self._file = file
        self._entries = {entry.name: (entry, start) for entry, start in zip(entries, starts, strict=True)}

    @classmethod
    def open(cls, path: Path) -> Archive:
        """Open a file and recompute every byte of its headers and directory.

        Raises:
            ArchiveError: If one is another.
            OSError: If it cannot be read.
        """
        file = path.open("rb")
        try:
            return cls(file, *_walk(file))
        except BaseException:
            file.close()
            raise

    @property
    def names(self) -> tuple[str, ...]:
        """Its entries, in their order in the file."""
        return tuple(self._entries)

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def size(self, name: str) -> int:
        """Bytes of an entry's content."""
        return self._entries[name][0].size

    def read(self, name: str) -> bytes:
        """The content of an entry.

        Raises:
            ArchiveError: If it is not what its header says.
            OSError: If it cannot be read.
            KeyError: If there is none.
        """
        entry, start = self._entries[name]
        self._file.seek(start)
        content = self._file.read(entry.size)
        if len(content) != entry.size or zlib.crc32(content) != entry.crc32:
            raise ArchiveError("its content does not fit its checksum")
        return content

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()


def _walk(file: BinaryIO) -> tuple[list[Entry], list[int]]:
    """Read all headers; give the entries and where the content of each begins."""
    end = file.seek(0, 2)
    if end > MOST_BYTES:
        raise ArchiveError(f"it has {end} bytes, more than {MOST_BYTES}")
    entries: list[Entry] = []
    starts: list[int] = []
    seen: set[str] = set()
    offset = 0
    while True:
        file.seek(offset)
        head = file.read(LOCAL.size)
        if head[:4] == DIRECTORY_SIGN and entries:
            break
        if len(entries) == MOST_ENTRIES:
            raise ArchiveError(f"it has more than {MOST_ENTRIES} entries")
        entry, header = _entry(file, head, offset)
        offset += len(header)
        if entry.name in seen:
            raise ArchiveError(f"the entry {entry.name!r} is there twice")
        if offset + entry.size > end:
            raise ArchiveError(f"the entry {entry.name!r} is cut off")
        seen.add(entry.name)
        entries.append(entry)
        starts.append(offset)
        offset += entry.size
    file.seek(offset)
    wanted = directory(entries)
    if end - offset != len(wanted) or file.read() != wanted:
        raise ArchiveError(f"the directory behind byte {offset} is not that of the {len(entries)} entries before it")
    return entries, starts


def _entry(file: BinaryIO, head: bytes, offset: int) -> tuple[Entry, bytes]:
    if len(head) != LOCAL.size or head[:4] != LOCAL_SIGN:
        raise ArchiveError(f"no entry begins at byte {offset}")
    *_, crc32, size, _, name_size, _ = LOCAL.unpack(head)
    raw = file.read(name_size)
    name = raw.decode("ascii", "replace")
    if not ENTRY_NAME.fullmatch(name):
        raise ArchiveError(f"the entry at byte {offset} has a name that is not plain")
    entry = Entry(name, crc32, size)
    header = local_header(entry)
    if head + raw != header:
        raise ArchiveError(f"the header of the entry {name!r} at byte {offset} is not as packing writes it")
    return entry, header
