"""Adding a signature to a packed bundle: by a key file, or by a machine that keeps its key to itself (an HSM)."""

from __future__ import annotations

import base64
import binascii
import shutil
from datetime import date
from pathlib import Path

from edgeseg.export.signing.keys import public_of, read_private
from edgeseg.runtime.archive.layout import chunks
from edgeseg.runtime.errors import TrustError
from edgeseg.runtime.files.atomic import replacing
from edgeseg.runtime.opening.bundle import Bundle, ordered
from edgeseg.runtime.trust.policy import ANY
from edgeseg.runtime.trust.public_key import PublicKey
from edgeseg.runtime.trust.signature import Signature, Statement

_RAW_BYTES = 64
_LARGEST_BYTES = 1 << 16


def state(path: Path, key: PublicKey, role: str, day: date) -> Statement:
    """What is to be signed, after holding every entry of the bundle against its hash.

    Args:
        path: The bundle.
        key: Of whoever will sign.
        role: What the signer stands for, such as `release`.
        day: Of signing.

    Raises:
        BundleError: If the bundle is damaged.
        TrustError: If this key has signed it as this already, or the role is none.
    """
    with Bundle.open(path, ANY) as bundle:
        for name in bundle.names:
            bundle.read(name)
        statement = Statement(bundle.manifest.bundle_id, bundle.sums_sha256, role, day, key)
        if statement.entry in bundle.names:
            raise TrustError(f"{path} is signed as {role} by key {key.key_id} already. Nothing was changed.")
        return statement


def sign(path: Path, key: Path, role: str, day: date) -> Signature:
    """Sign a bundle with a private key; the arguments are those of `state`, with the key's file.

    Raises:
        BundleError: If the bundle is damaged.
        TrustError: If the key is none, or has signed it as this already.
        BackendError: If `cryptography` is not installed.
    """
    private = read_private(key)
    statement = state(path, public_of(private), role, day)
    signature = Signature(statement, private.sign(statement.text))
    _add(path, signature)
    return signature


def attach(path: Path, statement: Path, signature: Path) -> Signature:
    """Add a signature that was made elsewhere.

    Args:
        path: The bundle.
        statement: The very file that was signed, `Statement.text`.
        signature: 64 bytes, or these in hex or base64.

    Raises:
        BundleError: If the bundle is damaged.
        TrustError: If they are of another bundle, or do not belong together.
        BackendError: If `cryptography` is not installed.
    """
    said = Statement.from_text(_read(statement), str(statement))
    wanted = state(path, said.key, said.role, said.date)
    if said != wanted:
        raise TrustError(f"{statement} is of another bundle ({said.bundle_id}). Write it anew with --digest-out.")
    found = Signature(said, _raw(_read(signature), signature))
    if not found.is_right():
        raise TrustError(f"{signature} is no signature over {statement} by key {said.key.key_id}. Sign that very file.")
    _add(path, found)
    return found


def _add(path: Path, signature: Signature) -> None:
    """Write the bundle anew with one entry more; what was signed stays byte for byte, and so do the file's rights."""
    path = path.resolve()  # of a link what it leads to, not the link
    with Bundle.open(path, ANY) as bundle:
        contents = {name: bundle.read(name) for name in bundle.names} | {
            signature.statement.entry: signature.to_bytes()
        }
        order = ordered(bundle.sums, contents)
    with replacing(path) as temporary:
        with temporary.open("wb") as file:
            file.writelines(chunks({name: contents[name] for name in order}))
        Bundle.open(temporary, ANY).close()
        shutil.copymode(path, temporary)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST_BYTES)
    except OSError as err:
        raise TrustError(f"{path} cannot be read ({err.strerror}). Check its path.") from err


def _raw(content: bytes, path: Path) -> bytes:
    if len(content) == _RAW_BYTES:
        return content
    text = b"".join(content.split())
    for decode in (binascii.unhexlify, lambda one: base64.b64decode(one, validate=True)):
        try:
            raw = decode(text)
        except (binascii.Error, ValueError):
            continue
        if len(raw) == _RAW_BYTES:
            return raw
    found = f"{len(content)} bytes"
    raise TrustError(f"{path} is no Ed25519 signature: 64 bytes, plain or in hex or base64, are needed, found {found}.")
