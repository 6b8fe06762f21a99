"""What cannot be written in the one form is refused before a byte is; what a header claims is not believed."""

from __future__ import annotations

import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest

from edgeseg.runtime.archive import layout, reader
from edgeseg.runtime.archive.layout import DIRECTORY_SIGN, Entry, chunks, local_header
from edgeseg.runtime.archive.reader import Archive, ArchiveError
from edgeseg.runtime.errors import BundleError

CONTENTS = {"a": b"one", "b/c.txt": b"", "d": bytes(300)}


def test_what_is_written_is_read_by_us_and_by_others(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"".join(chunks(CONTENTS)))
    archive = Archive.open(path)
    assert {name: archive.read(name) for name in archive.names} == CONTENTS
    assert "a" in archive and "x" not in archive and archive.size("d") == 300
    archive.close()
    with zipfile.ZipFile(path) as other:
        assert other.testzip() is None
        assert {name: other.read(name) for name in other.namelist()} == CONTENTS


@pytest.mark.parametrize("name", ["../a", "/a", "a/../b", "a//b", "a/", "", ".a", "a\\b", "ä", "a\n", "a\0b", "C:a"])
def test_names_that_lead_out_are_not_written(name: str) -> None:
    with pytest.raises(BundleError, match="cannot be an entry"):
        b"".join(chunks({name: b"x"}))


def test_what_only_zip64_could_hold_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BundleError, match="too many for one bundle"):
        next(chunks({f"{index}": b"" for index in range(65535)}))
    monkeypatch.setattr(layout, "MOST_BYTES", 400)
    with pytest.raises(BundleError, match=r"3 entries of \d+ bytes"):
        next(chunks(CONTENTS))


def test_what_only_zip64_could_hold_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large, many = tmp_path / "large.zip", tmp_path / "many.zip"
    with large.open("wb") as file:  # mostly a hole
        for name in "ab":
            file.write(local_header(Entry(name, 0, 3 << 30)))
            file.seek(3 << 30, 1)
        file.write(DIRECTORY_SIGN + bytes(42))
    with pytest.raises(ArchiveError, match="more than 4294967294"):
        Archive.open(large)
    many.write_bytes(b"".join(chunks(CONTENTS)))
    monkeypatch.setattr(reader, "MOST_ENTRIES", 2)
    with pytest.raises(ArchiveError, match="more than 2 entries"):
        Archive.open(many)


def test_a_size_that_is_not_there_is_not_believed(tmp_path: Path) -> None:
    content = bytearray(b"".join(chunks(CONTENTS)))
    struct.pack_into("<2L", content, 18, 0xFFFF_FFF0, 0xFFFF_FFF0)  # the first entry's sizes: 4 GiB
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError, match="cut off"):
            Archive.open(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_two_entries_of_one_name_are_refused_though_the_directory_has_both(tmp_path: Path) -> None:
    entries = [layout.Entry("a", zlib.crc32(content), len(content)) for content in (b"one", b"two")]
    pieces = [layout.local_header(entry) + content for entry, content in zip(entries, (b"one", b"two"), strict=True)]
    path = tmp_path / "a.zip"
    path.write_bytes(b"".join(pieces) + layout.directory(entries))
    with pytest.raises(ArchiveError, match="'a' is there twice"):
        Archive.open(path)


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x05\x06" + bytes(18), b"PK\x01\x02" + bytes(60), bytes(100)])
def test_what_holds_no_entry_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match="no entry begins at byte 0"):
        Archive.open(path)
