"""The three things the harness asks of time, in one place so that a test can put a fake there."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Time as a measurement needs it."""

    def now_ns(self) -> int:
        """A monotonic time [ns]."""

    def cpu_ns(self) -> int:
        """CPU time of all threads of this process so far [ns]."""

    def sleep(self, seconds: float) -> None:
        """Wait without using the CPU [s]."""


class MachineClock:
    """The real clock."""

    def now_ns(self) -> int:
        """`perf_counter_ns`: the finest monotonic clock there is [ns]."""
        return time.perf_counter_ns()

    def cpu_ns(self) -> int:
        """User and system time of all threads of this process [ns]."""
        return time.process_time_ns()

    def sleep(self, seconds: float) -> None:
        """Sleeps [s]."""
        time.sleep(seconds)
