"""This machine."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from edgeseg.benchmarks.results.result import BenchResult
from edgeseg.benchmarks.targets.address import Address
from edgeseg.benchmarks.targets.describe import describe
from edgeseg.benchmarks.targets.measured import measured
from edgeseg.benchmarks.targets.measurement import Measurement
from edgeseg.benchmarks.targets.target import Progress, Wishes


class LocalTarget:
    """Measures here; files are used where they lie."""

    def __init__(self, address: Address, _wishes: Wishes) -> None:
        self.address = address

    def put(self, files: Iterable[Path]) -> None:
        """Nothing to do."""

    def run(self, job: Measurement, progress: Progress) -> BenchResult:
        """Measure."""
        return measured(job, progress)

    def describe(self) -> dict[str, Any]:
        """What this machine is."""
        return describe()

    def __enter__(self) -> LocalTarget:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to let go of."""
