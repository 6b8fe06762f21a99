"""Power over time as a meter gave it, and the energy of a stretch of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeseg.benchmarks.meters.contract import Sensor


@dataclass(frozen=True)
class Stretch:
    """A time on the machine's monotonic clock, from `start_ns` to `end_ns` [ns]."""

    start_ns: int
    end_ns: int

    @property
    def seconds(self) -> float:
        """Its length [s]."""
        return (self.end_ns - self.start_ns) / 1e9


@dataclass(frozen=True)
class PowerTrace:
    """Every reading of one meter over one run.

    Attributes:
        sensor: The meter.
        t_ns: When each reading was taken, rising, on the machine's monotonic clock [ns].
        values: The readings, in the sensor's quantity [W or J].
        failed: Readings that the sensor did not give.
        cpu_share: How much of one core reading took, as a ratio; `None` where another device read.
        idle_before: A time before the measurement in which nothing of it ran.
        idle_after: The same after it.
    """

    sensor: Sensor
    t_ns: tuple[int, ...]
    values: tuple[float, ...]
    failed: int
    cpu_share: float | None
    idle_before: Stretch
    idle_after: Stretch

    def joules(self, stretch: Stretch) -> float | None:
        """Energy of a stretch [J]: trapezoids between readings, its ends interpolated; of a counter, its rise.

        Returns:
            `None` where the readings do not reach over the whole stretch.
        """
        t, values = self._arrays
        start, end = stretch.start_ns, stretch.end_ns
        if t.size < 2 or start < t[0] or end > t[-1]:
            return None
        at_ends = np.interp([start, end], t, values)
        if self.sensor.quantity == "energy_j":
            return float(at_ends[1] - at_ends[0])
        inside = (t > start) & (t < end)
        times = np.concatenate([[start], t[inside], [end]])
        watts = np.concatenate([at_ends[:1], values[inside], at_ends[1:]])
        return float(np.sum((watts[1:] + watts[:-1]) / 2 * np.diff(times)) / 1e9)

    def watts(self, stretch: Stretch) -> float | None:
        """Mean power of a stretch [W], or `None` as `joules`."""
        joules = self.joules(stretch)
        return None if joules is None or not stretch.seconds > 0 else joules / stretch.seconds

    def count(self, stretch: Stretch) -> int:
        """Readings within a stretch; of a counter those that found it changed, since the others tell nothing."""
        t, values = self._arrays
        first, end = int(np.searchsorted(t, stretch.start_ns)), int(np.searchsorted(t, stretch.end_ns, "right"))
        if self.sensor.quantity == "energy_j":
            return int(np.count_nonzero(np.diff(values[max(first - 1, 0) : end])))
        return end - first

    def longest_gap_s(self, stretch: Stretch) -> float:
        """The longest time without a reading that a stretch has a part of [s]."""
        t, _ = self._arrays
        first = max(int(np.searchsorted(t, stretch.start_ns, "right")) - 1, 0)
        last = min(int(np.searchsorted(t, stretch.end_ns)), t.size - 1)
        gaps = np.diff(t[first : last + 1])
        return float(gaps.max()) / 1e9 if gaps.size else float("inf")

    @property
    def rate_hz(self) -> float | None:
        """How often the meter was really read [Hz]."""
        return (len(self.t_ns) - 1) / (self.t_ns[-1] - self.t_ns[0]) * 1e9 if len(self.t_ns) > 1 else None

    @cached_property
    def _arrays(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        return np.asarray(self.t_ns, dtype=np.int64), np.asarray(self.values, dtype=np.float64)

    def to_json(self) -> dict[str, Any]:
        """Every reading, and what was told of the meter."""
        return {
            "sensor": self.sensor.to_json(),
            "rate_hz": self.rate_hz,
            "failed": self.failed,
            "cpu_share": self.cpu_share,
            "idle_w": {"before": self.watts(self.idle_before), "after": self.watts(self.idle_after)},
            "idle_before": asdict(self.idle_before),
            "idle_after": asdict(self.idle_after),
            "t_ns": list(self.t_ns),
            "values": list(self.values),
        }

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> PowerTrace:
        """Read what `to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError: A field is missing or of a wrong type.
        """
        t_ns, values = tuple(int(t) for t in obj["t_ns"]), tuple(float(value) for value in obj["values"])
        if len(t_ns) != len(values) or any(b < a for a, b in pairwise(t_ns)):
            raise ValueError("a power trace needs one rising time for each reading")
        idle = [Stretch(**obj[f"idle_{when}"]) for when in ("before", "after")]
        return cls(Sensor.from_json(obj["sensor"]), t_ns, values, int(obj["failed"]), obj["cpu_share"], *idle)
