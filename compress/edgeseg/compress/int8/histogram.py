"""A histogram whose range need not be known before: it grows while images are seen, in one pass.

Bins are as wide as a power of two and start at its multiples, so that a wider range merges neighbouring bins exactly.
How wide they are and how many follows from the extremes alone: the result does not depend on the order in which values
came, nor on how they were parted. Each bin also keeps the sum of its values: the many equal ones at 0 and 6 that ReLU6
leaves stay exactly 0 and 6.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

BINS = 4096  # at most; at least half of them span a range, so a level of 8 bit is 8 to 16 bins wide
_LEAST_SPAN = 1e-30

Floats = npt.NDArray[np.float64]


class Histogram:
    """Counts and sums of values, in bins that always span 0.

    Attributes:
        width: Of one bin.
        first: Number of the first bin; bin k holds the values in [k * width, (k + 1) * width).
        counts: float64 (bins,).
        sums: Of the values in each bin, float64 (bins,).
    """

    def __init__(self) -> None:
        self.width = 0.0
        self.first = 0
        self.counts: Floats = np.zeros(1)
        self.sums: Floats = np.zeros(1)
        # Exactly, and 0: edges of bins are rounded, another range than that of the same values all at once.
        self._low = self._high = 0.0

    @property
    def zero(self) -> int:
        """Index of the bin that begins at 0."""
        return -self.first

    def add(self, values: np.ndarray) -> None:
        """Count values.

        Args:
            values: float32, any shape, all finite.
        """
        # Twice the digits, and exponents: a float32 just below 0 over a bin's width would round to 0, another bin.
        flat = np.asarray(values, np.float64).reshape(-1)
        if flat.size == 0:
            return
        self._make_room(float(flat.min()), float(flat.max()))
        index = np.floor(flat / self.width).astype(np.int64) - self.first
        self.counts += np.bincount(index, minlength=len(self.counts))
        self.sums += np.bincount(index, flat, minlength=len(self.sums))

    def points(self) -> tuple[Floats, Floats]:
        """The mean value of every bin that holds any, ascending, and how many it holds: float64 (n,) each."""
        filled = self.counts > 0
        return self.sums[filled] / self.counts[filled], self.counts[filled]

    def middle(self, share: float) -> tuple[float, float]:
        """Between which bins this share of the values lies, as many below as above: the outer edges of the two bins."""
        reached = np.cumsum(self.counts)
        outside = (1 - share) / 2 * reached[-1]
        low, high = np.searchsorted(reached, (outside, reached[-1] - outside))
        return float(self.first + low) * self.width, float(self.first + high + 1) * self.width

    def _make_room(self, low: float, high: float) -> None:
        self._low, self._high = min(low, self._low), max(high, self._high)
        width = _width(self._low, self._high)
        if self.width == 0.0:
            self.width = width
        while self.width < width:
            self._merge()
        first, last = math.floor(self._low / width), math.floor(self._high / width)
        more = (self.first - first, last - (self.first + len(self.counts) - 1))
        if any(more):
            self.counts, self.sums = np.pad(self.counts, more), np.pad(self.sums, more)
            self.first = first

    def _merge(self) -> None:
        """Double the width."""
        first = self.first // 2
        into = (self.first + np.arange(len(self.counts))) // 2 - first
        self.counts, self.sums = (np.bincount(into, each).astype(float) for each in (self.counts, self.sums))
        self.first, self.width = first, 2 * self.width


def _width(low: float, high: float) -> float:
    """The smallest power of two at which [low, high] takes no more than `BINS` bins."""
    return 2.0 ** math.ceil(math.log2(max(high - low, _LEAST_SPAN) / (BINS - 2)))
