"""Hashes that say whether two things are the same: files by their bytes, values by their JSON."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path


def sha256_file(*paths: Path) -> str:
    """SHA-256 of a file's bytes, or of several files' one behind the other, hexadecimal."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def sha256_json(value: object) -> str:
    """SHA-256 of a JSON-able value, hexadecimal; in dictionaries the order of the keys does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
