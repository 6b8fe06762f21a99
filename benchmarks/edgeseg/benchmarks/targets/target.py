"""What every target can do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # a device that has no numpy yet imports this room, to make its environment
    from edgeseg.benchmarks.results.result import BenchResult
    from edgeseg.benchmarks.targets.measurement import Measurement


@dataclass(frozen=True)
class Wishes:
    """What the user wants of targets, beside the measurement.

    Attributes:
        wheel: ssh: of edgeseg; `None`: the code that runs here.
        wheelhouse: ssh: a folder of wheels that the host carries; `None`: the device asks its index.
        clean: ssh: take the environment away at the end, too.
        benchmark_model: adb: LiteRT's program of that name.
        delegates: adb: what the files are run by, as `targets/adb/delegates.py` reads it.
    """

    wheel: Path | None = None
    wheelhouse: Path | None = None
    clean: bool = False
    benchmark_model: Path | None = None
    delegates: tuple[str, ...] = ()


# Told the ratio done in [0, 1] and what is being done now.
Progress = Callable[[float, str], None]


class Target(Protocol):
    """A machine that measures. The machine itself says what it is; nothing is asked of the host in its place."""

    def put(self, files: Iterable[Path]) -> None:
        """Bring files to it; those that are there already, by their hash, are not sent again."""

    def run(self, job: Measurement, progress: Progress) -> BenchResult:
        """Measure there.

        Raises:
            MeasureError: It cannot be reached, is busy with another bench, is full, or lacks what it needs.
        """

    def describe(self) -> dict[str, Any]:
        """What it is: `device`, `software`, `state`, `engines`, `sensors`, `evidence`."""

    def __enter__(self) -> Target:
        """Itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of what it holds on the host."""
