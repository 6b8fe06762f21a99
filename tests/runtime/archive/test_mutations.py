"""Whatever one changes in a bundle, it is refused, and nothing crashes.

EDGESEG_MUTATIONS=10000 EDGESEG_MUTATED=demo/demo.edgeseg python -m pytest -n 0 tests/runtime/archive/test_mutations.py
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from edgeseg.runtime.archive.layout import chunks
from edgeseg.runtime.errors import EdgesegError
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.trust.policy import ANY
from edgeseg.runtime.trust.public_key import PublicKey
from edgeseg.runtime.trust.signature import Signature, Statement

MUTATIONS = int(os.environ.get("EDGESEG_MUTATIONS", "400"))


def flip_bit(content: bytearray, rng: random.Random) -> None:
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def change_byte(content: bytearray, rng: random.Random) -> None:
    content[rng.randrange(len(content))] ^= rng.randrange(1, 256)


def insert(content: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(content))
    content[at:at] = rng.randbytes(rng.randrange(1, 40))


def delete(content: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(content))
    del content[at : at + rng.randrange(1, 40)]


def swap(content: bytearray, rng: random.Random) -> None:
    size = rng.randrange(1, 40)
    one, other = sorted(rng.sample(range(0, len(content) - size, size), 2))
    content[one : one + size], content[other : other + size] = (
        content[other : other + size],
        content[one : one + size],
    )


def repeat(content: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(content))
    content[at:at] = content[at : at + rng.randrange(1, 400)]


def truncate(content: bytearray, rng: random.Random) -> None:
    del content[rng.randrange(len(content)) :]


def append(content: bytearray, rng: random.Random) -> None:
    content += rng.randbytes(rng.randrange(1, 40))


KINDS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    *(flip_bit, change_byte, insert, delete),
    *(swap, repeat, truncate, append),
)


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle, or the one that EDGESEG_MUTATED names, with a signature in it, which nobody checks here."""
    with Bundle.open(Path(os.environ.get("EDGESEG_MUTATED", tiny_bundle)), ANY) as opened:
        said = Statement(
            opened.manifest.bundle_id, opened.sums_sha256, "release", date(2026, 11, 28), PublicKey(bytes(range(32)))
        )
        entries = {name: opened.read(name) for name in opened.names}
    path = tmp_path_factory.mktemp("signed") / "signed.edgeseg"
    path.write_bytes(b"".join(chunks(entries | {said.entry: Signature(said, bytes(64)).to_bytes()})))
    read(path)
    return path


def read(path: Path) -> None:
    with Bundle.open(path, ANY) as opened:
        for name in opened.names:
            opened.read(name)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_mutation_is_refused(bundle: Path, tmp_path: Path, kind: Callable) -> None:
    whole, path = bundle.read_bytes(), tmp_path / "b.edgeseg"
    rng = random.Random(f"{kind.__name__} {MUTATIONS}")
    tried = 0
    while tried < MUTATIONS // len(KINDS):
        content = bytearray(whole)
        kind(content, rng)
        if content == whole:
            continue
        tried += 1
        path.write_bytes(content)
        with pytest.raises(EdgesegError):
            read(path)


def test_every_byte_around_the_contents_counts(bundle: Path, tmp_path: Path) -> None:
    """One bit of each byte of the directory and of the first headers; contents have their hashes."""
    whole, path = bundle.read_bytes(), tmp_path / "b.edgeseg"
    directory = whole.index(b"PK\x01\x02")
    rng = random.Random(0)
    for at in (*range(60), *range(directory, len(whole))):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :])
        with pytest.raises(EdgesegError):
            Bundle.open(path, ANY)
