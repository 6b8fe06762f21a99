"""Public Ed25519 keys: read from their files without any library, used by `cryptography` where it is installed.

A key's 32 bytes stand in a file as openssl writes it: PEM around the DER of RFC 8410, which for Ed25519 is twelve fixed
bytes and the key. The one line between the PEM's marks is what policies and signatures name a key by.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from pathlib import Path

from edgeseg.runtime.errors import BackendError, TrustError

REMEDY = "pip install 'edgeseg[sign]'"

_DER = bytes.fromhex("302a300506032b6570032100")  # SubjectPublicKeyInfo of Ed25519, RFC 8410
_BEGIN, _END = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"
_LARGEST_BYTES = 1 << 16
_OTHERS = (
    ("PRIVATE KEY", "a private key, which has to stay with whoever signs; give the .pub beside it"),
    ("CERTIFICATE", "a certificate; take the key out of it: openssl x509 -pubkey -noout"),
    ("ssh-", "an SSH key; make one by `edgeseg keygen`"),
)


@dataclass(frozen=True)
class PublicKey:
    """An Ed25519 key, by its 32 bytes."""

    raw: bytes

    @property
    def line(self) -> str:
        """The key as one line of base64, the one in its file."""
        return base64.b64encode(_DER + self.raw).decode()

    @property
    def pem(self) -> str:
        """The key's file."""
        return f"{_BEGIN}\n{self.line}\n{_END}\n"

    @property
    def key_id(self) -> str:
        """16 hex digits of a SHA-256 of the key, to tell keys apart in messages."""
        return hashlib.sha256(self.raw).hexdigest()[:16]

    @classmethod
    def from_line(cls, line: str, where: str) -> PublicKey:
        """Read what `line` gives.

        Raises:
            TrustError: If it is no such line, naming `where` it stood.
        """
        try:
            found = base64.b64decode(line, validate=True)
        except (binascii.Error, ValueError):
            found = b""
        key = cls(found[len(_DER) :])
        # Base64 has several words for the same bytes; only one is the key's.
        if not found.startswith(_DER) or len(key.raw) != 32 or key.line != line:
            shown = line if len(line) <= 70 else line[:69] + "…"
            raise TrustError(f"{where}: {shown!r} is no Ed25519 public key. Copy the middle line of its .pub file.")
        return key

    @classmethod
    def from_file(cls, path: Path) -> PublicKey:
        """Read a .pub file.

        Raises:
            TrustError: If it cannot be read, or holds a key of another kind.
        """
        text = read_key_text(path)
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if lines[:1] != [_BEGIN] or lines[-1:] != [_END]:
            found = next((words for mark, words in _OTHERS if mark in text), "no public key in PEM")
            raise TrustError(f"{path} is {found}. Needed is a .pub file of `edgeseg keygen` or of openssl.")
        body = "".join(lines[1:-1])
        if not body.startswith(base64.b64encode(_DER).decode()):
            raise TrustError(f"{path} is a public key of another kind (RSA? EC?), Ed25519 is needed: `edgeseg keygen`.")
        return cls.from_line(body, str(path))

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether this key made this signature of 64 bytes over this message.

        Raises:
            BackendError: If `cryptography` is not installed, or too old for Ed25519.
        """
        try:
            from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        except ImportError as err:
            raise BackendError(f"signatures cannot be checked here ({err}): {REMEDY}") from err
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except InvalidSignature:
            return False
        except (UnsupportedAlgorithm, ValueError) as err:
            raise BackendError(f"signatures cannot be checked here ({err}): {REMEDY}") from err
        return True


def read_key_text(path: Path) -> str:
    """The text of a key's file.

    Raises:
        TrustError: If it cannot be read, or is no text.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_BYTES)
    except OSError as err:
        raise TrustError(
            f"The key {path} cannot be read ({err.strerror}). Check its path and its permissions."
        ) from err
    try:
        return content.decode("ascii")
    except UnicodeDecodeError as err:
        raise TrustError(f"{path} is no key in PEM (not text). Give the file that `edgeseg keygen` wrote.") from err
