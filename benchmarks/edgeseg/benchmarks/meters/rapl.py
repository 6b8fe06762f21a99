"""Intel and AMD processors on Linux: RAPL's counters of energy, one per package and one per memory controller."""

from __future__ import annotations

import os
from pathlib import Path

from edgeseg.benchmarks.meters.contract import Meter, Sensor, number_in, text_of
from edgeseg.runtime.errors import MeasureError

# The counters move every millisecond; more readings than this tell nothing more about windows of a quarter second.
_RATE_HZ = 50.0


def find(root: Path, argument: str = "") -> Meter | None:
    """The processor packages and their memory, or the zone of the name `argument` (such as `psys`, the platform).

    Raises:
        MeasureError: The counters may not be read by this user.
    """
    zones = {path: text_of(path / "name") or path.name for path in sorted(root.glob("sys/class/powercap/*rapl*:*"))}
    zones = {path: name for path, name in zones.items() if "mmio" not in path.name}  # the same counters once more
    taken = {path: name for path, name in zones.items() if _wanted(name, argument)}
    if not taken:
        return None
    for path in taken:
        if not os.access(path / "energy_uj", os.R_OK):
            raise MeasureError(
                "RAPL's counters may not be read by this user: "
                "`sudo chmod a+r /sys/class/powercap/*rapl*/energy_uj` (until the next boot)"
            )
    counters = [_Counter(path) for path in taken]
    sensor = Sensor(
        "rapl",
        "RAPL",
        tuple(taken.values()),
        "the platform as its maker wired it"
        if argument == "psys"
        else "processor packages and their memory; the board, disks and the supply are not in it",
        "energy_j",
        _RATE_HZ,
        None,
        "the processor's own account, of which its maker states no error",
    )
    return Meter(sensor, lambda: sum(counter.read() for counter in counters))


def _wanted(name: str, argument: str) -> bool:
    return name == argument if argument else name.startswith("package") or name == "dram"


class _Counter:
    """One zone's counter, carried on where it wraps."""

    def __init__(self, zone: Path) -> None:
        self._file, self._wraps = zone / "energy_uj", 0
        self._range = float(text_of(zone / "max_energy_range_uj") or 0)
        self._last = 0.0

    def read(self) -> float:
        """Energy since some moment before [J]."""
        now = number_in(self._file)
        self._wraps += now < self._last
        self._last = now
        return (now + self._wraps * self._range) / 1e6
