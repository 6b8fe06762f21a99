"""Inputs that nobody made: what is right, changed at random. The same number gives the same input again."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Sequence

_ODD = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutated(seeds: Sequence[bytes], number: int) -> bytes:
    """The input of this number: one of the seeds with a few changes, now and then nothing but noise."""
    rng = random.Random(number)
    if rng.random() < 0.01:
        return rng.randbytes(rng.choice((1, 4, 16, 100, 1000)))
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5, 9, 20))):
        rng.choice(_CHANGES)(data, rng, seeds)
    return bytes(data) or b"\0"


def _flip(data: bytearray, rng: random.Random, seeds: Sequence[bytes]) -> None:
    if data:
        data[_place(data, rng)] ^= 1 << rng.randrange(8)


def _byte(data: bytearray, rng: random.Random, seeds: Sequence[bytes]) -> None:
    if data:
        data[_place(data, rng)] = rng.choice((0, 0xFF, rng.randrange(256)))


def _number(data: bytearray, rng: random.Random, seeds: Sequence[bytes]) -> None:
    width = rng.choice((1, 2, 4, 8))
    value = (rng.choice(_ODD) + rng.choice((-1, 0, 0, 1))) % (1 << (8 * width))
    at = _place(data, rng)
    data[at : at + width] = value.to_bytes(width, rng.choice(("little", "big")))


def _cut(data: bytearray, rng: random.Random, seeds: Sequence[bytes]) -> None:
    begin = _place(data, rng)
    del data[begin : begin + rng.choice((1, 2, 8, 64, len(data)))]


def _again(data: bytearray, rng: random.Random, seeds: Sequence[bytes]) -> None:
    begin, at = _place(data, rng), _place(data, rng)
    data[at:at] = data[begin : begin + rng.choice((1, 4, 16, 64))] * rng.choice((1, 1, 2, 50))


def _splice(data: bytearray, rng: random.Random, seeds: Sequence[bytes]) -> None:
    other = rng.choice(seeds)
    at, begin = _place(data, rng), rng.randrange(len(other))
    size = rng.choice((4, 16, 64, 256))
    data[at : at + size] = other[begin : begin + size]


def _noise(data: bytearray, rng: random.Random, seeds: Sequence[bytes]) -> None:
    at = _place(data, rng)
    data[at:at] = rng.randbytes(rng.choice((1, 2, 4, 16, 100)))


def _place(data: bytearray, rng: random.Random) -> int:
    """Headers lie in front, zip's and TIFF's directories behind: those more often than what lies between."""
    if not data:
        return 0
    region = rng.random()
    if region < 0.4:
        return rng.randrange(min(len(data), 128))
    return rng.randrange(len(data)) if region < 0.8 else len(data) - 1 - rng.randrange(min(len(data), 256))


_CHANGES = (_flip, _byte, _number, _number, _cut, _again, _splice, _noise)


def with_right_checksums(png: bytes) -> bytes:
    """A PNG whose chunks have the checksums of what is in them now, so that they are looked into."""
    fixed, at = bytearray(png), 8
    while at + 12 <= len(fixed):
        (length,) = struct.unpack_from(">I", fixed, at)
        end = at + 12 + length
        if end > len(fixed):
            break
        struct.pack_into(">I", fixed, end - 4, zlib.crc32(fixed[at + 4 : end - 4]))
        at = end
    return bytes(fixed)
