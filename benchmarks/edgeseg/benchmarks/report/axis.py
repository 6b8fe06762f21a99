"""One axis of a plot: its range, its ticks and where a value lies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_MARGIN = 0.06


@dataclass(frozen=True)
class Axis:
    """A mapping of values to pixels.

    Attributes:
        low: Value at `start_px`.
        high: Value at `end_px`.
        start_px: Pixel of `low`.
        end_px: Pixel of `high`; smaller than `start_px` for an axis that points up.
        log: Whether equal ratios are equal distances.
    """

    low: float
    high: float
    start_px: float
    end_px: float
    log: bool = False

    def px(self, value: float) -> float:
        """Where a value lies [px]."""
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return self.start_px + (at - low) / (high - low) * (self.end_px - self.start_px)

    def ticks(self) -> list[float]:
        """Round values within the range, about five."""
        return log_ticks(self.low, self.high) if self.log else linear_ticks(self.low, self.high)


def fit_axis(values: Sequence[float], start_px: float, end_px: float, log: bool = False) -> Axis:
    """An axis that shows all values with a little room around them.

    Args:
        values: At least one, finite, and above zero for `log`.
        start_px: Pixel of the lower end.
        end_px: Pixel of the upper end.
        log: Whether equal ratios shall be equal distances.
    """
    low, high = min(values), max(values)
    if log:
        room = max((high / low) ** _MARGIN, 1.15)
        return Axis(low / room, high * room, start_px, end_px, log=True)
    room = (high - low) * _MARGIN or abs(high) * 0.1 or 1.0
    # Counts, losses and milliseconds are never below zero; an axis that went there would suggest they were.
    return Axis(max(low - room, 0.0) if low >= 0 else low - room, high + room, start_px, end_px)


def linear_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten within [low, high]."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten within [low, high]; powers alone over more than three decades."""
    factors = (1,) if high / low > 1000 else (1, 2, 5)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [factor * 10.0**power for power in powers for factor in factors]
    found = [tick for tick in ticks if low <= tick <= high]
    return found if len(found) >= 2 else [tick for tick in linear_ticks(low, high) if tick > 0]


def tick_text(value: float) -> str:
    """A tick's number, short: 0.05, 20, 3k, 7M."""
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            scale = 1e3 if letter == "k" else limit
            return f"{value / scale:g}{letter}"
    return f"{round(value, 10):g}"
