"""The cores that an engine's threads are worth having on."""

from __future__ import annotations

import os
from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")
# A layer waits for the slowest of its threads: one on a core of less than this share of the fastest holds up the rest.
_FAST = 0.5
# A student of about a millisecond does not gain from more, and a device has other work to do.
_MOST_BY_DEFAULT = 4
MOST_THREADS = 256  # of thousands an engine needs minutes to start, and then they only wait for one another


def default_threads() -> int:
    """Return the fast cores this process may run on, at most 4."""
    return min(len(fast_cores()), _MOST_BY_DEFAULT)


def all_threads() -> int:
    """Return the cores this process may run on, at most as many as an engine takes: for a machine with nothing else."""
    return min(len(usable_cores()), MOST_THREADS)


def usable_cores() -> list[int]:
    """Return the numbers of the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def fast_cores(cpus: Path = _CPUS) -> list[int]:
    """Return those of the usable cores that are at least half as fast as the fastest of them.

    Linux says how fast cores are to one another where they differ, as on Arm's big.LITTLE (`cpu_capacity`); where it
    does not, all are equal.

    Args:
        cpus: The kernel's folder of processors.
    """
    capacity = {core: _capacity(cpus / f"cpu{core}" / "cpu_capacity") for core in usable_cores()}
    fastest = max(capacity.values())
    return [core for core, one in capacity.items() if one >= _FAST * fastest]


def _capacity(path: Path) -> int:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0
