"""Keys and signed bundles for tests."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

from edgeseg.export.signing.keys import generate
from edgeseg.export.signing.sign import sign
from edgeseg.runtime.trust.public_key import PublicKey

DAY = date(2026, 11, 28)


def new_key(folder: Path, name: str) -> tuple[Path, PublicKey]:
    """A private key's file, and its public key."""
    path = folder / f"{name}.key"
    return path, generate(path)


def signed(bundle: Path, path: Path, *signers: tuple[Path, str], day: date = DAY) -> Path:
    """A copy of a bundle, signed by each key's file as a role."""
    shutil.copy(bundle, path)
    for key, role in signers:
        sign(path, key, role, day)
    return path
