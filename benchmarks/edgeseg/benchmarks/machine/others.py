"""How much of the CPUs other programs took while something was measured, and measuring again where it was much."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from edgeseg.benchmarks.machine.turns import Turns

T = TypeVar("T")

# Share of the usable CPUs. Daemons of an idle machine take a hundredth; one busy core of four moves a median by far
# more than the few per cent that a search tells networks apart by.
BUSY = 0.1
TRIES = 3


def foreign_seconds(root: Path = Path("/")) -> float | None:
    """CPU time since boot that the usable CPUs gave to others than this process and its finished children [s].

    Niced programs are left out where they yield; Linux with autogroups (`sched(7)`) lets them yield to programs of
    their own session alone, and they are counted. So is time that the hypervisor took.

    Args:
        root: Where `/proc` is; a recorded tree in tests.

    Returns:
        Only differences mean anything; `None` where the machine does not tell.
    """
    try:
        lines = (root / "proc/stat").read_text(encoding="ascii").splitlines()
        usable = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        cpus = [[int(word) for word in line.split()[1:9]] for line in lines if line.split(" ", 1)[0] in usable]
        # user nice system idle iowait irq softirq steal
        ticks = sum(user + system + irq + soft + steal for user, _, system, _, _, irq, soft, steal in cpus)
        ticks += 0 if _niced_yield(root) else sum(cpu[1] for cpu in cpus)
    except (OSError, ValueError, AttributeError):
        return None
    own = os.times()
    mine_s = own.user + own.system + own.children_user + own.children_system
    return ticks / os.sysconf("SC_CLK_TCK") - mine_s


def _niced_yield(root: Path) -> bool:
    try:
        return (root / "proc/sys/kernel/sched_autogroup_enabled").read_text(encoding="ascii").strip() != "1"
    except OSError:  # a kernel without autogroups
        return True


def quietly(work: Callable[[], T], foreign: Callable[[], float | None] = foreign_seconds) -> tuple[T, float | None]:
    """Measure, and again where other programs took more than `BUSY` of the usable CPUs meanwhile.

    The turn is taken before the look at the CPUs: whoever is waited for is at work then, and disturbs nothing.

    Args:
        work: Measures, in this process or in children that it waits for.
        foreign: As `foreign_seconds`.

    Returns:
        The first of `TRIES` results that was left alone, or else the one that was disturbed least; with the share of
        the CPUs that others took, `None` where the machine does not tell.

    Raises:
        MeasureError: From `work`.
    """
    found: list[tuple[T, float]] = []
    for _ in range(TRIES):
        with Turns().measuring():
            before, start = foreign(), time.monotonic()
            value = work()
            after, took_s = foreign(), time.monotonic() - start
        if before is None or after is None:
            return value, None
        found.append((value, max(0.0, after - before) / (took_s * len(os.sched_getaffinity(0)))))
        if found[-1][1] <= BUSY:
            break
    return min(found, key=lambda one: one[1])
