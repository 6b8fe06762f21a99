"""Key files: made for their owner's eyes alone, never overwritten, and refused where others may read them."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from edgeseg.runtime.errors import BackendError, TrustError
from edgeseg.runtime.trust.public_key import REMEDY, PublicKey, read_key_text

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PUBLIC = ".pub"


def generate(path: Path) -> PublicKey:
    """Write a new private key, readable by its owner alone, and its public one beside it with the suffix `.pub`.

    Args:
        path: The private key's file; PEM (PKCS #8), not encrypted.

    Returns:
        The public key.

    Raises:
        TrustError: If either file is there already, or cannot be written.
        BackendError: If `cryptography` is not installed.
    """
    path = Path(path)
    public = path.with_suffix(PUBLIC)
    if path.suffix == PUBLIC:
        raise TrustError(f"{path}: name the private key; the public one is written beside it. Use another suffix.")
    for file in (path, public):
        if os.path.lexists(file):
            raise TrustError(f"{file} is there already; keys are never overwritten. Choose another name.")
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError as err:
        raise BackendError(f"keys cannot be made here ({err}): {REMEDY}") from err
    private = Ed25519PrivateKey.generate()
    formats = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    key = public_of(private)
    _write_new(path, private.private_bytes(*formats), 0o600)
    _write_new(public, key.pem.encode(), 0o644)
    return key


def read_private(path: Path) -> Ed25519PrivateKey:
    """Read a private key.

    Raises:
        TrustError: If it cannot be read, others may read it, or it is no Ed25519 key in plain PEM.
        BackendError: If `cryptography` is not installed.
    """
    text = read_key_text(path)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise TrustError(f"{path} may be read or written by others (mode {mode:04o}). Run: chmod 600 {path}")
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError as err:
        raise BackendError(f"nothing can be signed here ({err}): {REMEDY}") from err
    try:
        private = load_pem_private_key(text.encode("ascii"), password=None)
    except TypeError as err:
        raise TrustError(f"{path} is encrypted. Sign with --digest-out and the tool that can open it.") from err
    except (ValueError, UnsupportedAlgorithm) as err:
        raise TrustError(f"{path} is no private key in PEM. Give the file that `edgeseg keygen` wrote.") from err
    if not isinstance(private, Ed25519PrivateKey):
        raise TrustError(f"{path} is a key of another kind (RSA? EC?), Ed25519 is needed: `edgeseg keygen`.")
    return private


def public_of(private: Ed25519PrivateKey) -> PublicKey:
    """The public key of a private one."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return PublicKey(private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


def _write_new(path: Path, content: bytes, mode: int) -> None:
    """Write a file that is not there yet; whoever comes between finds it with its final rights, never wider ones."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            path.unlink()
            raise
    except OSError as err:
        raise TrustError(f"The key {path} cannot be written ({err.strerror}). Choose another folder.") from err
