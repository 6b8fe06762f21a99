"""What a device accepts: a JSON file that every opening of a bundle on it obeys.

{
"schema_version": 1,
"require_signature": true,
"required_roles": ["release"],
"keys": [{"name": "release 2026", "public_key": "MCowBQYDK2VwAyEA...", "roles": ["release"], "expires": "2027-12-31"}],
"min_bundle_version": {"part": "1.4"}
}
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from edgeseg.runtime.errors import ManifestError, RefusedError, TrustError
from edgeseg.runtime.spec.fields import Fields, read_json_object, show, text
from edgeseg.runtime.trust.public_key import PublicKey
from edgeseg.runtime.trust.signature import ROLE

POLICY_VARIABLE = "EDGESEG_POLICY"
POLICY_FILE = Path("/etc/edgeseg/policy.json")

_SCHEMA_VERSION = 1
_VERSION = re.compile(r"\d{1,9}(\.\d{1,9})*", re.ASCII)  # a number of thousands of digits would be no int


@dataclass(frozen=True)
class TrustedKey:
    """A signer this device knows.

    Attributes:
        name: Whose it is, for messages.
        key: The key.
        roles: What it may sign as; empty means anything.
        expires: Last day of signing it is trusted for, or None.
    """

    name: str
    key: PublicKey
    roles: tuple[str, ...] = ()
    expires: date | None = None

    @classmethod
    def from_json(cls, value: object, where: str) -> TrustedKey:
        """Read a decoded JSON object; raises ManifestError or TrustError where it is not what is documented."""
        fields = Fields(value, where, ("name", "public_key", "roles", "expires"))
        key = PublicKey.from_line(fields.typed("public_key", str), f"{where}.public_key")
        roles = fields.sequence("roles", _role) if fields.has("roles") else ()
        expires = fields.optional("expires", str)
        return cls(
            fields.typed("name", str), key, roles, None if expires is None else _day(expires, f"{where}.expires")
        )

    def to_json(self) -> dict[str, Any]:
        """The object that `from_json` reads."""
        told: dict[str, Any] = {"name": self.name, "public_key": self.key.line, "roles": list(self.roles)}
        return told if self.expires is None else told | {"expires": self.expires.isoformat()}


@dataclass(frozen=True)
class Policy:
    """What is asked of a bundle.

    Attributes:
        require_signature: Refuse a bundle that no trusted key has signed.
        required_roles: Each must be signed for by a trusted key; empty asks for any one signature.
        keys: The trusted keys.
        min_bundle_version: Lowest version that is taken, by the bundle's name; others are taken in any.
    """

    require_signature: bool = False
    required_roles: tuple[str, ...] = ()
    keys: tuple[TrustedKey, ...] = ()
    min_bundle_version: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.required_roles and not self.require_signature:
            raise ManifestError("policy: required_roles without require_signature: true would not be asked for.")
        if self.require_signature and not self.keys:
            raise ManifestError("policy.keys is empty, so that no signature could be trusted. Add a public key.")
        for one in self.keys:
            if sum(other.key == one.key for other in self.keys) > 1:
                raise ManifestError(f"policy.keys: {one.name!r} is there twice, by its public_key. Leave one of them.")
        for role in self.required_roles:
            if not any(not key.roles or role in key.roles for key in self.keys):
                raise ManifestError(f"policy.required_roles: no key may sign as {role!r}. Add one, or the role to one.")
        for name, version in self.min_bundle_version.items():
            if version_key(version) is None:
                where = f"policy.min_bundle_version.{name}"
                raise ManifestError(f"{where}: expected numbers with dots such as '1.4', found {show(version)}.")

    @classmethod
    def from_file(cls, path: Path) -> Policy:
        """Read a policy file.

        Raises:
            TrustError: If it cannot be read, or others than its owner may write it; what should protect a device must
                not vanish in silence.
            ManifestError: If it is not what is documented, or of another version.
        """
        try:
            with path.open("rb") as file:
                mode, content = os.fstat(file.fileno()).st_mode, file.read()
        except OSError as err:
            raise TrustError(
                f"The policy {path} cannot be read ({err.strerror}). Nothing is opened without it."
            ) from err
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            found = f"The policy {path} may be written by others than its owner (mode {stat.S_IMODE(mode):04o})"
            raise TrustError(f"{found}. Nothing is opened under it. Run: chmod go-w {path}")
        return cls.from_json(read_json_object(content, str(path)), str(path))

    @classmethod
    def from_json(cls, value: object, where: str) -> Policy:
        """Read a decoded JSON object.

        Raises:
            ManifestError: If it is not what is documented, or of another version.
            TrustError: If a key is none.
        """
        fields = Fields(value, where, ("schema_version", *cls.__dataclass_fields__))
        version = fields.typed("schema_version", int)
        if version != _SCHEMA_VERSION:
            found = f"{where}: schema_version is {version}, this edgeseg reads {_SCHEMA_VERSION}"
            raise ManifestError(f"{found}. Install the edgeseg it was written for, or write it again.")
        oldest = fields.raw("min_bundle_version") if fields.has("min_bundle_version") else {}
        if not isinstance(oldest, Mapping):
            raise ManifestError(f"{where}: min_bundle_version: expected {{name: version}}, found {show(oldest)}.")
        return cls(
            require_signature=fields.typed("require_signature", bool),
            required_roles=fields.sequence("required_roles", _role) if fields.has("required_roles") else (),
            keys=fields.sequence("keys", TrustedKey.from_json) if fields.has("keys") else (),
            min_bundle_version={name: text(value, f"{where}: {name}") for name, value in oldest.items()},
        )

    def to_json(self) -> dict[str, Any]:
        """The object of its file."""
        return {
            "schema_version": _SCHEMA_VERSION,
            "require_signature": self.require_signature,
            "required_roles": list(self.required_roles),
            "keys": [key.to_json() for key in self.keys],
            "min_bundle_version": dict(self.min_bundle_version),
        }

    def trusting(self, files: Sequence[Path]) -> Policy:
        """This policy, but asking for a signature by one of these .pub files; without files as it is."""
        keys = {key: TrustedKey(file.name, key) for file in files for key in [PublicKey.from_file(file)]}
        return replace(self, require_signature=True, keys=tuple(keys.values())) if keys else self

    def check_folder(self, folder: Path) -> None:
        """Refuse a model outside a bundle where signatures are required; raises RefusedError."""
        if self.require_signature:
            raise RefusedError(f"{folder} is a folder, which nobody can sign; the policy asks for a signed bundle.")


ANY = Policy()  # for those who look at bundles and do not run them


def device_policy() -> Policy:
    """This device's: the file that EDGESEG_POLICY names, else /etc/edgeseg/policy.json, else everything is taken.

    Raises:
        TrustError: If the file cannot be read.
        ManifestError: If it is not what is documented.
    """
    named = os.environ.get(POLICY_VARIABLE)
    if named:
        return Policy.from_file(Path(named))
    return Policy.from_file(POLICY_FILE) if os.path.lexists(POLICY_FILE) else ANY  # a link to nothing is an error, too


def chosen_policy(file: Path | None, trusted: Sequence[Path]) -> Policy:
    """The policy that a command was given: a file or else this device's, and keys in the place of its own.

    Raises:
        TrustError: If a file cannot be read.
        ManifestError: If the policy is not what is documented.
    """
    return (device_policy() if file is None else Policy.from_file(file)).trusting(trusted)


def version_key(version: str) -> tuple[int, ...] | None:
    """A version as numbers to compare, `1.4.0` as `1.4`; None where it is not made of numbers."""
    if not _VERSION.fullmatch(version):
        return None
    numbers = [int(part) for part in version.split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _role(value: object, where: str) -> str:
    if not ROLE.fullmatch(text(value, where)):
        raise ManifestError(f"{where}: a role is of small letters, digits and '-', found {show(value)}.")
    return str(value)


def _day(value: str, where: str) -> date:
    try:
        return date.fromisoformat(value)
    except ValueError as err:
        raise ManifestError(f"{where}: expected a day such as '2027-12-31', found {show(value)}.") from err
