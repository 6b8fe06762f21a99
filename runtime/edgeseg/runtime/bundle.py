"""Opening a bundle: a zip of stored entries, every one listed with its hash, none trusted before it is checked."""

from __future__ import annotations

import hashlib
import re
import zipfile
from pathlib import Path
from types import TracebackType

from edgeseg.runtime.errors import BundleError
from edgeseg.runtime.fields import nearest
from edgeseg.runtime.file_kind import kind_of
from edgeseg.runtime.manifest import ENTRY_NAME, Manifest, Variant

MANIFEST_ENTRY = "manifest.json"
SUMS_ENTRY = "SHA256SUMS"
SIGNATURE_ENTRY = "SIGNATURE"

_SUMS_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_AGAIN = "Copy the file again from where it was packed, or pack it again."


class Bundle:
    """An open .edgeseg file. Reading an entry checks its hash. A context manager.

    Attributes:
        path: The file.
        manifest: What it says about itself.
        sums: SHA-256 by entry, as listed in the file.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path = path
        self._archive = archive
        self.sums = self._read_sums()
        self.manifest = Manifest.from_bytes(self.read(MANIFEST_ENTRY))
        self._check_manifest()

    @classmethod
    def open(cls, path: Path) -> Bundle:
        """Open a bundle and check its form, its list of hashes and its manifest.

        Model files are checked when they are read; `verify_bundle` reads everything.

        Raises:
            BundleError: If it is missing, damaged, or holds an entry it must not.
            ManifestError: If its manifest is wrong or of another version.
        """
        path = Path(path)
        archive = _open_zip(path)
        try:
            _check_entries(path, archive)
            return cls(path, archive)
        except BaseException:
            archive.close()
            raise

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The model files in it."""
        return self.manifest.variants

    @property
    def names(self) -> tuple[str, ...]:
        """Its entries, in their order in the file."""
        return tuple(self._archive.namelist())

    def variant(self, name: str) -> Variant:
        """Return the variant of this name.

        Raises:
            BundleError: If there is none, naming the nearest.
        """
        for variant in self.variants:
            if variant.name == name:
                return variant
        known = [variant.name for variant in self.variants]
        raise BundleError(f"{self.path}: no variant {name!r} in this bundle. {nearest(name, known)}")

    def read(self, name: str) -> bytes:
        """Return the content of an entry after checking its hash.

        Raises:
            BundleError: If there is no such entry, it cannot be read, or its hash is not the listed one.
        """
        if name not in self.names:
            raise BundleError(f"{self.path}: no entry {name!r} in this bundle. {_AGAIN}")
        content = self._read_raw(name)
        found = hashlib.sha256(content).hexdigest()
        if found != self.sums.get(name, found):  # the list itself is not in the list
            listed = f"SHA-256 is {found}, {SUMS_ENTRY} lists {self.sums[name]}"
            raise BundleError(f"{self.path}: entry {name!r} was changed or damaged ({listed}). {_AGAIN}")
        return content

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._archive.close()

    def __enter__(self) -> Bundle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read_raw(self, name: str) -> bytes:
        try:
            return self._archive.read(name)
        except (zipfile.BadZipFile, EOFError, OSError, KeyError, RuntimeError) as err:
            raise BundleError(f"{self.path}: entry {name!r} cannot be read ({err}). {_AGAIN}") from err

    def _read_sums(self) -> dict[str, str]:
        for needed in (SUMS_ENTRY, MANIFEST_ENTRY):
            if needed not in self.names:
                raise BundleError(f"{self.path}: the entry {needed} is missing, so this is no bundle. {_AGAIN}")
        sums: dict[str, str] = {}
        for line in self._read_raw(SUMS_ENTRY).decode("utf-8", "replace").splitlines():
            match = _SUMS_LINE.fullmatch(line)
            if match is None or match[2] in sums:
                raise BundleError(f"{self.path}: {SUMS_ENTRY} has the unusable line {line[:80]!r}. {_AGAIN}")
            sums[match[2]] = match[1]
        entries = set(self.names) - {SUMS_ENTRY, SIGNATURE_ENTRY}
        if entries != sums.keys():
            odd = ", ".join(sorted(entries ^ sums.keys()))
            raise BundleError(f"{self.path}: entries and {SUMS_ENTRY} differ in: {odd}. {_AGAIN}")
        return sums

    def _check_manifest(self) -> None:
        for variant in self.variants:
            if self.sums.get(variant.file) != variant.sha256:
                problem = f"variant {variant.name!r}: {variant.file} is missing or has another hash than the manifest's"
                raise BundleError(f"{self.path}: {problem}. {_AGAIN}")
        for golden in self.manifest.golden:
            for name in (golden.input, *(expected.mask for expected in golden.expected)):
                if name not in self.sums:
                    raise BundleError(f"{self.path}: the golden file {name!r} is missing. {_AGAIN}")


def _open_zip(path: Path) -> zipfile.ZipFile:
    kind = kind_of(path)
    if kind.key not in ("bundle", "zip", "cut", "missing", "folder", "empty", "unreadable", "special"):
        remedy = f"; {kind.remedy}" if kind.remedy else ""
        raise BundleError(f"{path} is {kind.words}, but an .edgeseg bundle is needed: not a whole zip file{remedy}.")
    try:
        size = path.stat().st_size
        if size == 0:
            raise BundleError(f"{path}: the file is empty (0 bytes). {_AGAIN}")
        return zipfile.ZipFile(path)
    except FileNotFoundError as err:
        raise BundleError(f"{path}: no such file. Check its path.") from err
    except IsADirectoryError as err:
        raise BundleError(f"{path}: this is a folder. Give the .edgeseg file in it.") from err
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as err:
        raise BundleError(f"{path}: not a whole zip file ({err}), {size} bytes. {_AGAIN}") from err
    except OSError as err:
        raise BundleError(f"{path}: cannot be read ({err.strerror}). Check its permissions.") from err


def _check_entries(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuse entries that packing never writes: whoever unpacks a bundle with another tool must be safe, too."""
    if not {MANIFEST_ENTRY, SUMS_ENTRY} & set(archive.namelist()):
        raise BundleError(f"{path} is {kind_of(path).words}, but no bundle: {MANIFEST_ENTRY} is missing. {_AGAIN}")
    seen: set[str] = set()
    for info in archive.infolist():
        problem = None
        # orig_filename keeps what zipfile cleans away in filename: a NUL byte, a backslash.
        if not ENTRY_NAME.fullmatch(info.orig_filename):
            problem = "has a name that leads out of the bundle or is not plain"
        elif info.filename in seen:
            problem = "is there twice"
        elif info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            problem = "is compressed, where only stored entries are allowed"
        elif info.flag_bits & 0x1:
            problem = "is encrypted"
        if problem:
            raise BundleError(f"{path}: entry {info.orig_filename!r} {problem}. Do not use this file; get it again.")
        seen.add(info.filename)
