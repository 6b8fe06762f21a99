"""The identity of a picture: the same pixels have the same hash, whatever the file is called and how it is coded."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

_SHORT = 16  # 64 bits: among a million images two different ones share a hash in one of 37 million cases


def pixel_hash(image: npt.NDArray[Any]) -> str:
    """SHA-256 (hex) of a picture as it is read.

    Args:
        image: uint8 or uint16, shape (H, W) or (H, W, 3). The same picture read as gray and as RGB has two hashes.
    """
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(np.ascontiguousarray(image).reshape(-1).data)
    return digest.hexdigest()


def short_pixel_hash(image: npt.NDArray[Any]) -> str:
    """The first 16 hex digits of `pixel_hash`, as a bundle keeps of the images it has seen."""
    return pixel_hash(image)[:_SHORT]
