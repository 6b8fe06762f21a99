"""What FP16 can hold: magnitudes up to 65504, and fewer and fewer digits below 2^-14."""

from __future__ import annotations

import numpy as np

LARGEST = float(np.finfo(np.float16).max)  # 65504
# Images that were not calibrated on reach further than those that were; what overflows is infinite.
HEADROOM = 4.0
# Below 2^-14 values are whole multiples of 2^-24. A tensor whose largest value is smaller than this has no value left
# with the 11 digits that FP16 has elsewhere.
SMALLEST = 2.0**-13
# Error of a kernel's channel relative to its size. Rounding alone stays below 2^-11.
_KERNEL_ERROR = 2.0**-9
# A channel this much smaller than the layer's largest adds less than the rounding of its neighbours.
_NOTHING = 2.0**-16


def activation_fault(low: float, high: float, noise: float) -> str | None:
    """Why an activation cannot be FP16, or None.

    Args:
        low: Smallest value seen on calibration images.
        high: Largest one.
        noise: Magnitude below which a tensor holds nothing but rounding noise.
    """
    largest = max(abs(low), abs(high))
    if largest * HEADROOM > LARGEST:
        return f"reaches {largest:.4g}, and FP16 ends at {LARGEST:g}: less than {HEADROOM:g} times that"
    if noise <= largest < SMALLEST:
        return f"is at most {largest:.2g}, where FP16 has few digits left"
    return None


def constant_fault(values: np.ndarray) -> str | None:
    """Why a constant cannot be FP16, or None; errors below what activations are rounded by are none."""
    largest = float(np.abs(values).max(initial=0.0))
    return f"holds {largest:.4g}, and FP16 ends at {LARGEST:g}" if not largest <= LARGEST else None


def kernel_fault(kernel: np.ndarray, axis: int) -> str | None:
    """Why a kernel cannot be FP16, or None.

    Args:
        kernel: float32.
        axis: Of its output channels.
    """
    if fault := constant_fault(kernel):
        return fault
    channels = np.moveaxis(kernel, axis, 0).reshape(kernel.shape[axis], -1).astype(np.float64)
    sizes = np.linalg.norm(channels, axis=1)
    errors = np.linalg.norm(channels - channels.astype(np.float16), axis=1)
    counts = sizes > _NOTHING * sizes.max(initial=0.0)
    worst = float((errors[counts] / sizes[counts]).max(initial=0.0))
    if worst > _KERNEL_ERROR:
        return f"loses {worst:.1%} of a channel, whose weights are too small for FP16"
    return None
