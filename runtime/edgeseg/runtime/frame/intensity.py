"""The fixed window of 16-bit images: which values become 0 and 255.

One function maps them, for training, calibration, scoring and the device alike; the manifest carries the window.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeseg.runtime.spec.input_spec import IntensityWindow

if TYPE_CHECKING:
    import numpy.typing as npt

# Looked up in blocks, since numpy makes an eight-byte index of every pixel.
_BLOCK_PX = 1 << 16


def apply_window(
    frame: npt.NDArray[Any], window: IntensityWindow | None, out: npt.NDArray[np.uint8] | None = None
) -> npt.NDArray[np.uint8]:
    """Map a 16-bit frame to 8 bits: `floor(255 (v - lo) / (hi - lo) + 0.5)`, clipped to [0, 255].

    Args:
        frame: uint16, any shape; without a window uint8.
        window: (lo, hi), or None.
        out: Contiguous array of the frame's shape to write to, or None for a new one.

    Returns:
        uint8 of the same shape, `out` or a new array; `frame` itself without a window.
    """
    if window is None:
        assert frame.dtype == np.uint8, "a 16-bit frame needs a window"
        return frame
    assert frame.dtype == np.uint16, "a window maps 16-bit frames"
    table, flat = _table(window), np.ascontiguousarray(frame).reshape(-1)
    mapped = np.empty(flat.shape, np.uint8) if out is None else out.reshape(-1)
    for begin in range(0, len(flat), _BLOCK_PX):
        np.take(table, flat[begin : begin + _BLOCK_PX], out=mapped[begin : begin + _BLOCK_PX], mode="clip")
    return mapped.reshape(frame.shape)


def spread(pixels: npt.NDArray[np.uint8], window: IntensityWindow | None) -> npt.NDArray[Any]:
    """Make of drawn 8-bit pixels a frame such as a camera would give for this window.

    Args:
        pixels: uint8, any shape.
        window: (lo, hi), or None.

    Returns:
        uint16 of the same shape, which `apply_window` maps back to `pixels` where hi - lo >= 255; `pixels` itself
        without a window.
    """
    if window is None:
        return pixels
    lo, hi = window
    levels = lo + (np.arange(256) * (hi - lo) + 127) // 255
    return levels.astype(np.uint16)[pixels]


@functools.lru_cache(maxsize=4)
def _table(window: IntensityWindow) -> npt.NDArray[np.uint8]:
    lo, hi = window
    values = np.arange(1 << 16, dtype=np.int64).clip(lo, hi)
    return ((510 * (values - lo) + hi - lo) // (2 * (hi - lo))).astype(np.uint8)
