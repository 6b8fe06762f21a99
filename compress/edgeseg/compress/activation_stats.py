"""What activations really look like inside their quantisation range: extremes by channel, and where most values lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEVELS = 256
# Share of the values between `core_low` and `core_high`.
CORE = 0.99
_SAMPLE = 4096  # values kept of one tensor and image


@dataclass(frozen=True)
class TensorFacts:
    """One activation and the range it is quantised with.

    Attributes:
        name: The operation that makes it, as ranges name it, or the ONNX tensor.
        low: Lower end of its quantisation range, 0 at most.
        high: Upper end, 0 at least.
        core_low: 99 % of the values seen lie between this
        core_high: and this.
        channel_low: Smallest value seen of each channel, float64 (C,).
        channel_high: Largest, float64 (C,).
        repaired: Whether the calibrated range was empty, so that `low` and `high` had to be made up.
    """

    name: str
    low: float
    high: float
    core_low: float
    core_high: float
    channel_low: np.ndarray
    channel_high: np.ndarray
    repaired: bool = False

    @property
    def step(self) -> float:
        """Difference between two neighbouring integers."""
        return max(self.high - self.low, 1e-30) / (LEVELS - 1)

    @property
    def seen(self) -> tuple[float, float]:
        """Smallest and largest value seen."""
        return float(self.channel_low.min()), float(self.channel_high.max())

    @property
    def core_levels(self) -> float:
        """How many of the 256 integers 99 % of the values share."""
        return min((self.core_high - self.core_low) / self.step + 1, float(LEVELS))

    @property
    def is_constant(self) -> bool:
        """Whether each channel had one single value in all images."""
        return bool((self.channel_low == self.channel_high).all())


class ActivationStats:
    """Collects extremes by channel and a thinned sample of every tensor it is shown."""

    def __init__(self) -> None:
        self._low: dict[str, np.ndarray] = {}
        self._high: dict[str, np.ndarray] = {}
        self._samples: dict[str, list[np.ndarray]] = {}

    def observe(self, name: str, value: np.ndarray) -> None:
        """Note one tensor, float (N, C, ...); anything with fewer than two axes counts as one channel."""
        if value.size == 0:
            return
        planes = np.moveaxis(value, 1, 0).reshape(value.shape[1], -1) if value.ndim > 1 else value.reshape(1, -1)
        low, high = planes.min(axis=1).astype(np.float64), planes.max(axis=1).astype(np.float64)
        if name in self._low and self._low[name].shape == low.shape:
            low, high = np.minimum(low, self._low[name]), np.maximum(high, self._high[name])
        self._low[name], self._high[name] = low, high
        flat = value.reshape(-1)
        # A prime stride: one that divides the width would look at a few columns only.
        stride = _next_prime(-(-flat.size // _SAMPLE))
        self._samples.setdefault(name, []).append(flat[::stride].astype(np.float32))

    def __contains__(self, name: str) -> bool:
        return name in self._low

    def seen(self, name: str) -> tuple[float, float]:
        """Smallest and largest value of a tensor."""
        return float(self._low[name].min()), float(self._high[name].max())

    def facts(self, name: str, low: float, high: float, *, repaired: bool = False) -> TensorFacts:
        """Set what was seen of a tensor beside the range it is quantised with."""
        tail = 100 * (1 - CORE) / 2
        core = np.percentile(np.concatenate(self._samples[name]), (tail, 100 - tail))
        return TensorFacts(name, low, high, float(core[0]), float(core[1]), self._low[name], self._high[name], repaired)


def _next_prime(number: int) -> int:
    while number > 2 and any(number % divisor == 0 for divisor in range(2, int(number**0.5) + 1)):
        number += 1
    return number
