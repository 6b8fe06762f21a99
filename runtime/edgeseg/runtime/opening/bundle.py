"""Opening a bundle: a zip in its one form, every entry listed with its hash, none trusted before it is checked."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType

from edgeseg.runtime.archive.fault import AGAIN, refused
from edgeseg.runtime.archive.reader import Archive, ArchiveError
from edgeseg.runtime.errors import BundleError, RefusedError, TrustError
from edgeseg.runtime.spec.fields import nearest
from edgeseg.runtime.spec.manifest import Manifest, Variant
from edgeseg.runtime.trust.policy import Policy, device_policy
from edgeseg.runtime.trust.signature import FOLDER, LARGEST_BYTES, Signature
from edgeseg.runtime.trust.verdict import judge

MANIFEST_ENTRY = "manifest.json"
SUMS_ENTRY = "SHA256SUMS"
CARD_ENTRY = "MODEL_CARD.md"

_SUMS_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_LARGEST_LIST_BYTES = 1 << 26  # of the entries that are read before anything is known of them


class Bundle:
    """An open .edgeseg file. Reading an entry checks its hash. A context manager.

    Attributes:
        path: The file.
        sums: SHA-256 by entry, as listed in the file.
        sums_sha256: SHA-256 of that list, which is what signatures are over.
        manifest: What it says about itself.
        signatures: Those in it, each over this very bundle; `judge` says what they are worth.
    """

    def __init__(self, path: Path, archive: Archive) -> None:
        self.path = path
        self._archive = archive
        listed = self._read_list()
        self.sums = self._read_sums(listed)
        self.sums_sha256 = hashlib.sha256(listed).hexdigest()
        said = self.read(MANIFEST_ENTRY)
        self.manifest = Manifest.from_bytes(said)
        self._check_manifest()
        self._check_identity(said)
        self.signatures = tuple(self._signature(name) for name in self.names if name.startswith(FOLDER))

    @classmethod
    def open(cls, path: Path, policy: Policy | None = None) -> Bundle:
        """Open a bundle and check its form, its list of hashes, its manifest, and that it may be used here.

        Model files are checked when they are read; `verify_bundle` reads everything.

        Args:
            path: The .edgeseg file.
            policy: What is asked of its version and signatures; None is this device's policy, `ANY` takes every one.

        Raises:
            BundleError: If it is missing, damaged, or holds an entry it must not.
            ManifestError: If its manifest is wrong or of another version.
            RefusedError: If the policy does not take it.
        """
        path = Path(path)
        asked = device_policy() if policy is None else policy
        try:
            archive = Archive.open(path)
        except (ArchiveError, OSError, ValueError) as err:  # ValueError: a NUL byte in the name
            raise refused(path, str(err)) from err
        try:
            bundle = cls(path, archive)
            bundle._check_policy(asked)
            return bundle
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
        return self._archive.names

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
        if name not in self._archive:
            raise BundleError(f"{self.path}: no entry {name!r} in this bundle. {AGAIN}")
        content = self._read_raw(name)
        found = hashlib.sha256(content).hexdigest()
        if found != self.sums.get(name, found):  # the list itself is not in the list
            listed = f"SHA-256 is {found}, {SUMS_ENTRY} lists {self.sums[name]}"
            raise BundleError(f"{self.path}: entry {name!r} was changed or damaged ({listed}). {AGAIN}")
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
        except (ArchiveError, OSError) as err:
            raise BundleError(f"{self.path}: entry {name!r} was changed or damaged ({err}). {AGAIN}") from err

    def _read_list(self) -> bytes:
        for needed in (SUMS_ENTRY, MANIFEST_ENTRY):
            if needed not in self._archive:
                raise BundleError(f"{self.path}: the entry {needed} is missing, so this is no bundle. {AGAIN}")
            if self._archive.size(needed) > _LARGEST_LIST_BYTES:
                raise BundleError(f"{self.path}: {needed} is larger than {_LARGEST_LIST_BYTES} bytes. {AGAIN}")
        return self._read_raw(SUMS_ENTRY)

    def _read_sums(self, listed: bytes) -> dict[str, str]:
        sums: dict[str, str] = {}
        for line in listed.decode("utf-8", "replace").splitlines():
            match = _SUMS_LINE.fullmatch(line)
            if match is None or match[2] in sums:
                raise BundleError(f"{self.path}: {SUMS_ENTRY} has the unusable line {line[:80]!r}. {AGAIN}")
            sums[match[2]] = match[1]
        entries = {name for name in self.names if name != SUMS_ENTRY and not name.startswith(FOLDER)}
        if entries != sums.keys():
            odd = ", ".join(sorted(entries ^ sums.keys()))
            raise BundleError(f"{self.path}: entries and {SUMS_ENTRY} differ in: {odd}. {AGAIN}")
        if listed != sums_text(sums) or self.names != ordered(sums, self.names):
            raise BundleError(f"{self.path}: entries or lines of {SUMS_ENTRY} are not as packing orders them. {AGAIN}")
        return sums

    def _signature(self, name: str) -> Signature:
        if self._archive.size(name) > LARGEST_BYTES:
            raise TrustError(f"{self.path}: {name} is larger than {LARGEST_BYTES} bytes, no signature is. {AGAIN}")
        found = Signature.from_bytes(self._read_raw(name), f"{self.path}: {name}")
        its = found.statement
        if (its.bundle_id, its.sums_sha256, its.entry) != (self.manifest.bundle_id, self.sums_sha256, name):
            said = f"{name} is a signature of another bundle ({its.bundle_id}, SHA256SUMS {its.sums_sha256[:16]}…)"
            raise TrustError(f"{self.path}: {said}. Do not use this file; get it again.")
        return found

    def _check_policy(self, policy: Policy) -> None:
        # Signatures that nobody asks for cost nothing here; `verify` looks at all of them.
        asked = self.signatures if policy.require_signature else ()
        verdict = judge(policy, self.manifest.name, self.manifest.bundle_version, asked)
        if verdict.refusals:
            raise RefusedError(f"{self.path}: refused by the policy: {'; '.join(verdict.refusals)}.")

    def _check_identity(self, said: bytes) -> None:
        its = json.dumps(self.manifest.bundle_id, ensure_ascii=False).encode()
        blank = said.replace(b'"bundle_id": ' + its, b'"bundle_id": ""', 1)
        found = identity(self.manifest.name, blank, self.sums)
        if found != self.manifest.bundle_id:
            problem = f"it calls itself {self.manifest.bundle_id!r}, but its content is that of {found!r}"
            raise BundleError(f"{self.path}: {problem}: it was changed after it was packed. {AGAIN}")

    def _check_manifest(self) -> None:
        for variant in self.variants:
            if self.sums.get(variant.file) != variant.sha256:
                problem = f"variant {variant.name!r}: {variant.file} is missing or has another hash than the manifest's"
                raise BundleError(f"{self.path}: {problem}. {AGAIN}")
        for golden in self.manifest.golden:
            for name in (golden.input, *(expected.mask for expected in golden.expected)):
                if name not in self.sums:
                    raise BundleError(f"{self.path}: the golden file {name!r} is missing. {AGAIN}")


def identity(name: str, manifest: bytes, sums: Mapping[str, str]) -> str:
    """What a bundle of this content is called, its `bundle_id`.

    Args:
        name: The bundle's.
        manifest: Content of its manifest, with an empty `bundle_id`.
        sums: SHA-256 by entry, in their order. Manifest and model card do not count: they hold the identity.
    """
    own = {entry: digest for entry, digest in sums.items() if entry not in (MANIFEST_ENTRY, CARD_ENTRY)}
    return f"{name}-{hashlib.sha256(manifest + sums_text(own)).hexdigest()[:16]}"


def sums_text(sums: Mapping[str, str]) -> bytes:
    """The content of SHA256SUMS, as `sha256sum --check` takes it.

    Args:
        sums: SHA-256 by entry, in the order of the entries.
    """
    return "".join(f"{digest}  {name}\n" for name, digest in sums.items()).encode()


def ordered(sums: Iterable[str], names: Iterable[str]) -> tuple[str, ...]:
    """The one order of a bundle's entries: the manifest first, those listed as they are listed, list, signatures.

    Args:
        sums: The entries that are listed.
        names: All entries.
    """
    listed = [name for name in sums if name != MANIFEST_ENTRY]
    return (MANIFEST_ENTRY, *listed, SUMS_ENTRY, *sorted(name for name in names if name.startswith(FOLDER)))
