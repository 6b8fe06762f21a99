"""One measurement on several targets: those elsewhere side by side, this machine alone, a lost one costs its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from edgeseg.benchmarks.results.result import BenchResult
from edgeseg.benchmarks.targets import open_target
from edgeseg.benchmarks.targets.address import Address
from edgeseg.benchmarks.targets.measurement import Measurement
from edgeseg.benchmarks.targets.target import Progress, Wishes
from edgeseg.runtime.errors import EdgesegError, MeasureError


@dataclass
class _Told:
    """Joins what several targets say of their progress."""

    progress: Progress
    n: int
    done: dict[str, float] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    stopped: threading.Event = field(default_factory=threading.Event)

    def of(self, name: str) -> Progress:
        def told(done: float, what: str) -> None:
            if self.stopped.is_set():  # Ctrl-C reaches the main thread alone
                raise KeyboardInterrupt
            with self.lock:
                self.done[name] = done
                self.progress(sum(self.done.values()) / self.n, what if self.n == 1 else f"{name}: {what}")

        return told


def run_on(
    addresses: Sequence[Address], job: Measurement, wishes: Wishes, progress: Progress
) -> dict[str, BenchResult | EdgesegError]:
    """Measure on every target.

    Args:
        addresses: Of different names.
        job: What is measured.
        wishes: What the user wants of targets.
        progress: Told how far all of them are.

    Returns:
        By name and in order: its result, or what kept it from having one.
    """
    told = _Told(progress, len(addresses))
    work: dict[str, Callable[[], BenchResult | EdgesegError]] = {
        one.name: lambda one=one: _run(one, job, wishes, told.of(one.name))  # type: ignore[misc]
        for one in addresses
    }
    # Sending files would disturb a measurement here, so this machine's comes after.
    elsewhere = [one.name for one in addresses if one.scheme != "local"] if len(addresses) > 1 else []
    found: dict[str, BenchResult | EdgesegError] = {}
    with ThreadPoolExecutor(max(1, len(elsewhere))) as pool:
        try:
            found = dict(zip(elsewhere, pool.map(lambda name: work[name](), elsewhere), strict=True))
        except KeyboardInterrupt:
            told.stopped.set()
            raise
    return {one.name: found[one.name] if one.name in found else work[one.name]() for one in addresses}


def _run(address: Address, job: Measurement, wishes: Wishes, progress: Progress) -> BenchResult | EdgesegError:
    try:
        with open_target(address, wishes) as target:
            return replace(target.run(job, progress), price=address.price)
    except EdgesegError as error:
        return error
    except OSError as error:  # such as a full disk here: what others have measured is not lost for it
        return MeasureError(f"{address.name}: {error}")
