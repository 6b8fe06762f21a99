"""When a subject is warm: the last medians agree, or the time for it is used up."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from edgeseg.benchmarks.timing.clock import Clock

# A window of calls long enough that its median is not the luck of one timer tick.
_WINDOW_S = 0.02
_WINDOW_CALLS = 5
_WINDOWS = 3


@dataclass(frozen=True)
class Warmup:
    """How the warm-up ended: calls made, seconds used, whether the medians agreed, the last median [ns]."""

    runs: int
    seconds: float
    converged: bool
    median_ns: float


def warm_up(call: Callable[[], int], clock: Clock, tolerance: float, cap_s: float) -> Warmup:
    """Call until the medians of the last three windows agree, or until the cap.

    Args:
        call: One whole pipeline call; returns its duration [ns].
        clock: Where the time comes from.
        tolerance: Largest ratio between the highest and the lowest of the three medians, minus one.
        cap_s: Time after which no further call starts [s]; one call is always made.
    """
    start = clock.now_ns()
    medians: list[float] = []
    window: list[int] = []
    runs = 0
    while True:
        window.append(call())
        runs += 1
        used_s = (clock.now_ns() - start) / 1e9
        if len(window) >= _WINDOW_CALLS and sum(window) >= _WINDOW_S * 1e9:
            medians.append(statistics.median(window))
            window = []
            if agree(medians[-_WINDOWS:], tolerance):
                return Warmup(runs, used_s, True, medians[-1])
        if used_s >= cap_s:
            return Warmup(runs, used_s, False, statistics.median(window) if window else medians[-1])


def agree(medians: list[float], tolerance: float) -> bool:
    """Whether there are three medians, the highest at most `tolerance` above the lowest."""
    return len(medians) == _WINDOWS and max(medians) <= min(medians) * (1.0 + tolerance)
