"""Masks as PNG: how they are kept on disk, and in memory where a whole split's would fill it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]


def encode_mask(mask: UInt8) -> bytes:
    """A mask of class ids, uint8 (H, W), as PNG."""
    return bytes(cv2.imencode(".png", mask)[1].tobytes())


def decode_mask(png: bytes) -> UInt8:
    """What `encode_mask` was given, uint8 (H, W)."""
    return np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED), np.uint8)


def read_mask_png(path: Path) -> UInt8:
    """A mask kept by a scoring step: class ids and `IGNORED` where the truth is, uint8 (H, W)."""
    return decode_mask(path.read_bytes())


class PackedMasks:
    """Masks in the order they were added, uint8 (H, W) each; may be gone through any number of times."""

    def __init__(self) -> None:
        self._pngs: list[bytes] = []

    def add(self, mask: UInt8) -> None:
        """Keep a mask."""
        self._pngs.append(encode_mask(mask))

    def __iter__(self) -> Iterator[UInt8]:
        return map(decode_mask, self._pngs)
