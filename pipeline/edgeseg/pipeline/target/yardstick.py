"""Networks timed in turns, and their times at the pace of a machine that is slower at one time than at another."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from edgeseg.benchmarks.meters.energy import Energy
from edgeseg.benchmarks.results.result import BenchResult, Row
from edgeseg.benchmarks.speedup import paired_ratio
from edgeseg.compress.search.probe import Measurement
from edgeseg.train.models import SegmentationNet


@dataclass(frozen=True)
class Yardstick:
    """A network measured once beside the reference, and then beside every candidate.

    A shared machine, or a warm one, is slower at one time than at another, by tens of per cent over an hour. A speed-up
    asks for neither: it is a ratio. What the yardstick takes now, against what it took beside the reference, tells the
    machine's pace.

    Attributes:
        model: At the precision that ships.
        total_ms: p50 of its whole pipeline beside the reference.
    """

    model: SegmentationNet
    total_ms: float


@dataclass(frozen=True)
class Timed:
    """One network of several that were timed in turns.

    Attributes:
        measurement: What it costs, by the clock.
        beside: Its whole pipeline's time over that of the first one, block by block; None where either has none.
    """

    measurement: Measurement
    beside: float | None

    def at_pace(self, first_ms: float) -> Measurement:
        """Its cost if the first one had taken `first_ms`."""
        found = self.measurement
        if self.beside is None or found.total_ms is None or found.infer_ms is None:
            return found
        pace = found.total_ms / (self.beside * first_ms)
        return dataclasses.replace(found, total_ms=found.total_ms / pace, infer_ms=found.infer_ms / pace, pace=pace)


def timed_rows(result: BenchResult, busy: float | None) -> list[Timed]:
    """What the harness has measured in turns, each held against the first; at least one row."""
    return [Timed(_measurement(result, row, busy), _beside(result.rows[0], row)) for row in result.rows]


def _beside(first: Row, row: Row) -> float | None:
    return paired_ratio(row.nested_ms(), first.nested_ms()) if first.processes and row.processes else None


def _measurement(result: BenchResult, row: Row, busy: float | None) -> Measurement:
    found, energy = row.step_values()["latency_ms"], result.energy(row)
    if row.status != "ok" or found is None:
        return Measurement(None, None, None, row.model.bytes, row.reason or "no sample was taken")
    total_ms, infer_ms = (found[stage]["p50"] for stage in ("total", "infer"))
    if isinstance(energy, Energy):
        return Measurement(total_ms, infer_ms, energy.gross_mj, row.model.bytes, None, busy)
    return Measurement(total_ms, infer_ms, None, row.model.bytes, energy, busy)
