"""What is wrong with a file that is no bundle's archive, said as well as it can be seen."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

from edgeseg.runtime.archive.layout import ENTRY_NAME
from edgeseg.runtime.errors import BundleError
from edgeseg.runtime.files.file_kind import kind_of

if TYPE_CHECKING:
    import zipfile

AGAIN = "Copy the file again from where it was packed, or pack it again."
NEEDED = ("manifest.json", "SHA256SUMS")


def refused(path: Path, reason: str) -> BundleError:
    """The error for a file that cannot be read as an archive in its one form.

    Args:
        path: The file.
        reason: What was seen first, for where nothing more telling is found.
    """
    kind = kind_of(path)
    words = {
        "missing": "no such file. Check its path.",
        "folder": "this is a folder. Give the .edgeseg file in it.",
        "empty": f"the file is empty (0 bytes). {AGAIN}",
        "unreadable": f"{kind.words}; {kind.remedy}.",
        "special": f"{kind.words}; {kind.remedy}.",
        "cut": f"not a whole zip file ({reason}). {AGAIN}",
    }.get(kind.key)
    if words:
        return BundleError(f"{path}: {words}")
    entries = _entries(path)
    if entries is None:
        remedy = f"; {kind.remedy}" if kind.remedy else ""
        return BundleError(f"{path} is {kind.words}, but an .edgeseg bundle is needed: not a whole zip file{remedy}.")
    if not {one.filename for one in entries} & set(NEEDED):
        return BundleError(f"{path} is {kind.words}, but no bundle: {NEEDED[0]} is missing. {AGAIN}")
    seen: set[str] = set()
    for entry in entries:
        problem = "is there twice" if entry.filename in seen else _problem(entry)
        if problem:
            found = f"entry {entry.orig_filename!r} {problem}"
            return BundleError(f"{path}: {found}. Do not use this file; get it again.")
        seen.add(entry.filename)
    return BundleError(f"{path}: a zip, but not byte for byte as packing writes it: {reason}. {AGAIN}")


def _entries(path: Path) -> list[zipfile.ZipInfo] | None:
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            return archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
        return None


def _problem(entry: zipfile.ZipInfo) -> str | None:
    # orig_filename keeps what zipfile cleans away in filename: a NUL byte, a backslash.
    if not ENTRY_NAME.fullmatch(entry.orig_filename):
        return "has a name that leads out of the bundle or is not plain"
    if entry.compress_type or entry.compress_size != entry.file_size:
        return "is compressed, where only stored entries are allowed"
    if entry.flag_bits & 0x1:
        return "is encrypted"
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "is a link"
    return None
