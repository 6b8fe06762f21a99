"""A signature of a bundle: a statement of a few lines that names the bundle by its hashes, and 64 bytes over it.

edgeseg signature 1
bundle: demo-0123456789abcdef
sha256sums: (SHA-256 of the entry SHA256SUMS, which lists that of every other entry)
role: release
date: 2026-11-28
key: (base64, the middle line of the .pub file)
signature: (base64 of the Ed25519 signature over all lines above, with their line ends)
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import date

from edgeseg.runtime.errors import TrustError
from edgeseg.runtime.trust.public_key import PublicKey

FOLDER = "signatures/"
LARGEST_BYTES = 1 << 16  # of a signature's entry, of which no more is read
ROLE = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")

_HEAD = "edgeseg signature 1"
_KEYS = ("bundle", "sha256sums", "role", "date", "key")
_SIGNATURE_BYTES = 64
_AGAIN = "Sign the bundle again."


@dataclass(frozen=True)
class Statement:
    """What is signed.

    Attributes:
        bundle_id: Identity of the bundle, as its manifest says.
        sums_sha256: SHA-256 of its SHA256SUMS, hex.
        role: What the signer stands for, such as `release`.
        date: Day of signing by the signer's clock.
        key: The signer's.
    """

    bundle_id: str
    sums_sha256: str
    role: str
    date: date
    key: PublicKey

    def __post_init__(self) -> None:
        if not self.bundle_id.isprintable():  # a line end in it would begin a line of its own
            raise TrustError(f"The bundle's identity {self.bundle_id!r} cannot stand in a signature. Pack it again.")
        if not ROLE.fullmatch(self.role):
            raise TrustError(f"A role is of small letters, digits and '-', at most 32: found {self.role!r}.")

    @property
    def text(self) -> bytes:
        """The very bytes that are signed."""
        values = (self.bundle_id, self.sums_sha256, self.role, self.date.isoformat(), self.key.line)
        lines = [_HEAD, *(f"{key}: {value}" for key, value in zip(_KEYS, values, strict=True))]
        return ("\n".join(lines) + "\n").encode()

    @property
    def entry(self) -> str:
        """Its place in the bundle: one per role and key."""
        return f"{FOLDER}{self.role}.{self.key.key_id}"

    @classmethod
    def from_text(cls, content: bytes, where: str) -> Statement:
        """Read what `text` gives.

        Raises:
            TrustError: If it is anything else, even by one sign.
        """
        lines = content.decode("utf-8", "replace").split("\n")
        if lines[0] != _HEAD and lines[0].startswith(_HEAD[:-1]):
            raise TrustError(f"{where} begins with {lines[0]!r}: of a newer edgeseg. Install that, or sign again.")
        values = [line.removeprefix(f"{key}: ") for key, line in zip(_KEYS, lines[1:], strict=False)]
        if len(values) != len(_KEYS):
            raise TrustError(f"{where} is no statement of a signature ({len(lines)} lines). {_AGAIN}")
        try:
            day = date.fromisoformat(values[3])
        except ValueError as err:
            raise TrustError(f"{where}: {values[3]!r} is no date. {_AGAIN}") from err
        found = cls(values[0], values[1], values[2], day, PublicKey.from_line(values[4], where))
        if found.text != content:
            raise TrustError(f"{where} is not as signing writes it. {_AGAIN}")
        return found


@dataclass(frozen=True)
class Signature:
    """A statement, and the signature over it."""

    statement: Statement
    signature: bytes

    def to_bytes(self) -> bytes:
        """The entry of the bundle."""
        return self.statement.text + b"signature: " + base64.b64encode(self.signature) + b"\n"

    @classmethod
    def from_bytes(cls, content: bytes, where: str) -> Signature:
        """Read an entry; whether the signature is right is another question.

        Raises:
            TrustError: If it is not as `to_bytes` writes it, even by one sign.
        """
        text, mark, last = content.rpartition(b"signature: ")
        try:
            raw = base64.b64decode(last.removesuffix(b"\n"), validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if not mark or len(raw) != _SIGNATURE_BYTES:
            raise TrustError(f"{where} holds no signature of {_SIGNATURE_BYTES} bytes. {_AGAIN}")
        found = cls(Statement.from_text(text, where), raw)
        if found.to_bytes() != content:
            raise TrustError(f"{where} is not as signing writes it. {_AGAIN}")
        return found

    def is_right(self) -> bool:
        """Whether its key made it, whoever's that is; raises BackendError where that cannot be checked."""
        return self.statement.key.verifies(self.signature, self.statement.text)
