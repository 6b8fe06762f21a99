"""Frames and masks as PNG inside a bundle, and comparing a mask with the expected one."""

from __future__ import annotations

import cv2
import numpy as np

from edgeseg.runtime import container
from edgeseg.runtime.errors import BundleError, DataError
from edgeseg.runtime.frame.preprocess import check_frame

# Least share of marked pixels that two masks of one frame have in common. A share of all pixels knows nothing of small
# things: a network that finds no pit on a large frame differs in a thousandth of it.
LEAST_OVERLAP = 0.5
_TOLD_FROM_PX = 64  # of less foreground a few pixels of rounding would be half

_ANY_WINDOW = (0, 65535)  # which window it is does not matter here


def encode_png(image: np.ndarray) -> bytes:
    """Return a (H, W) gray frame or mask, or a (H, W, 3) RGB frame, uint8 or uint16, as lossless PNG.

    Raises:
        FrameError: If it is no such array.
    """
    check_frame(image, _ANY_WINDOW if getattr(image, "dtype", None) == np.uint16 else None)
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 and image.shape[2] == 3 else image
    return cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()


def decode_png(content: bytes, name: str) -> np.ndarray:
    """Return what `encode_png` was given, uint8 or uint16, (H, W) or (H, W, 3) RGB.

    Raises:
        BundleError: If the content is no such PNG.
    """
    try:
        pixels = container.decode(content, container.look(content))
    except (DataError, cv2.error, MemoryError):
        pixels = None
    if pixels is None or pixels.dtype not in (np.uint8, np.uint16) or pixels.shape[2:] not in ((), (3,)):
        raise BundleError(f"{name}: not a gray or RGB PNG. Pack the bundle again.")
    found: np.ndarray = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if pixels.ndim == 3 else pixels
    return found


def differing_share(mask: np.ndarray, expected: np.ndarray) -> float:
    """Return the share of pixels in which two masks (H, W) differ, in [0, 1]; 1.0 where their sizes differ."""
    if mask.shape != expected.shape:
        return 1.0
    return float(np.count_nonzero(mask != expected)) / mask.size


def overlap(mask: np.ndarray, expected: np.ndarray) -> float | None:
    """Return the share of the pixels that either mask (H, W) marks in which both name the same class, in [0, 1].

    0.0 where their sizes differ; None where the expected mask marks too few pixels to tell.
    """
    if np.count_nonzero(expected) < _TOLD_FROM_PX:
        return None
    if mask.shape != expected.shape:
        return 0.0
    either = np.count_nonzero((mask > 0) | (expected > 0))
    return float(np.count_nonzero((mask == expected) & (expected > 0))) / either


def is_lost(found: float | None) -> bool:
    """Whether an `overlap` is too small to be another engine's rounding."""
    return found is not None and found < LEAST_OVERLAP
