"""Says which of two rows is faster, or that it cannot be said, and refuses to set unlike things side by side.

Within one run the sides took turns, so a difference is theirs. Two files are two draws of everything else as well
(memory layout, temperature, neighbours): eight identical processes were seen to differ by 4 %. So a difference
between files must clear the floor of what runs differ by anyway before it says anything at all.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from edgeseg.benchmarks.checks import MIN_PROCESSES
from edgeseg.benchmarks.results.result import EVIDENCE_WORDS, BenchResult, Row
from edgeseg.benchmarks.speedup import Ratio, speedup
from edgeseg.benchmarks.stats import relative_spread
from edgeseg.runtime.errors import MeasureError

Verdict = Literal["faster", "slower", "no difference shown", "inconclusive"]

# Where a file's own processes agree better than this, two runs of it still need not.
MIN_FLOOR = 0.05

_DEVICE_KEYS = ("name", "soc", "arch", "cpu_model", "cpu_flags", "logical_cpus", "usable_cpus", "cpu_quota", "governor")
_NOTED_DEVICE_KEYS = ("kernel", "os", "power_mode", "clocks_locked")


@dataclass(frozen=True)
class Comparison:
    """B seen from A. `ratio` = time of A / time of B: above 1, B is the faster one.

    Attributes:
        a: Name of the reference row.
        b: Name of the other row.
        a_p50_ms: Median of A, pre + infer + post, or the engine alone as `notes` then say [ms].
        b_p50_ms: Median of B [ms].
        ratio: How many times faster B is.
        lo95: Lower end of its 95 % interval, `None` with one process.
        hi95: Upper end.
        same_run: Whether both took turns in one run.
        floor: Ratio minus one below which a difference says nothing; 0 within one run.
        verdict: Of B against A.
        reason: Why it is that verdict.
        notes: What else differs between two files.
    """

    a: str
    b: str
    a_p50_ms: float
    b_p50_ms: float
    ratio: float
    lo95: float | None
    hi95: float | None
    same_run: bool
    floor: float
    verdict: Verdict
    reason: str
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON."""
        return {**asdict(self), "notes": list(self.notes)}


def compare_rows(result: BenchResult, a: str, b: str) -> Comparison:
    """Compare two rows of one run.

    Raises:
        MeasureError: A name is unknown, or its row has no samples, or was measured in an emulator.
    """
    row_a, row_b = _measured(result, a), _measured(result, b)
    return _compare(row_a, row_b, same_run=True, floor=0.0, notes=(*_evidence(result), *_fed(row_a, row_b)))


def compare_results(
    first: BenchResult, second: BenchResult, a: str | None = None, b: str | None = None
) -> list[Comparison]:
    """Compare rows of two files: those of equal name, or `a` of the first with `b` of the second.

    Raises:
        MeasureError: The files are of different machines, frames or settings, or have no row in common.
    """
    _refuse_unlike(first, second)
    if a or b:
        pairs = [(a or str(b), b or str(a))]
    else:
        measured = {row.name for row in second.rows if row.processes}
        pairs = [(row.name, row.name) for row in first.rows if row.processes and row.name in measured]
    if not pairs:
        raise MeasureError("the two results have no measured row of the same name: name them with --a and --b")
    notes = (*_evidence(first), *_differences(first, second))
    found = []
    for name_a, name_b in pairs:
        row_a, row_b = _measured(first, name_a), _measured(second, name_b)
        floor = max(MIN_FLOOR, _between_processes(row_a), _between_processes(row_b))
        _refuse_other_sizes(row_a, row_b)
        note = () if row_a.model.sha256 == row_b.model.sha256 else ("the model files differ",)
        note = (*_fed(row_a, row_b), *note)
        found.append(_compare(row_a, row_b, same_run=False, floor=floor, notes=(*note, *notes)))
    return found


def _compare(a: Row, b: Row, same_run: bool, floor: float, notes: tuple[str, ...]) -> Comparison:
    paired = same_run and [len(p) for p in a.nested_ms()] == [len(p) for p in b.nested_ms()]
    ratio = speedup(a.nested_ms(), b.nested_ms(), paired=paired)
    verdict, reason = judge(ratio, same_run, floor)
    p50_a, p50_b = (row.time_ms("p50") for row in (a, b))
    assert p50_a is not None and p50_b is not None, "both have samples"
    return Comparison(
        a.name, b.name, p50_a, p50_b, ratio.ratio, ratio.lo95, ratio.hi95, same_run, floor, verdict, reason, notes
    )


def judge(ratio: Ratio, same_run: bool, floor: float) -> tuple[Verdict, str]:
    """The verdict on a ratio and the reason for it.

    Args:
        ratio: Time of A / time of B with its interval.
        same_run: Whether both sides took turns in one run.
        floor: Ratio minus one that the near end of the interval must clear.
    """
    if ratio.lo95 is None or ratio.hi95 is None or ratio.n_processes < MIN_PROCESSES:
        few = f"{ratio.n_processes} processes; {MIN_PROCESSES} are the fewest that say something about another run"
        return "inconclusive", few
    interval = f"the 95 % interval {ratio.lo95:.3f} to {ratio.hi95:.3f}"
    if ratio.lo95 > 1 + floor:
        return "faster", f"{interval} lies above {1 + floor:.3g}"
    if ratio.hi95 < 1 / (1 + floor):
        return "slower", f"{interval} lies below {1 / (1 + floor):.3g}"
    if same_run:
        return "no difference shown", f"{interval} contains 1"
    return "inconclusive", f"{interval} does not clear the {floor:.1%} by which two runs differ anyway"


def _measured(result: BenchResult, name: str) -> Row:
    row = result.row(name)
    if row.told:
        raise MeasureError(f"{name} has another tool's figures and no samples: nothing can be said of its spread")
    if result.evidence == "emulated":
        raise MeasureError(f"{name} was measured in an emulator, whose times mean nothing: measure on the device")
    if not row.processes:
        raise MeasureError(f"{name} has no samples: it is {row.status} ({row.reason})")
    return row


def _between_processes(row: Row) -> float:
    return relative_spread([float(np.median(np.concatenate(blocks))) for blocks in row.nested_ms()])


def _refuse_unlike(first: BenchResult, second: BenchResult) -> None:
    """Refuse what no interval can make comparable."""
    unlike = [
        f"{key.replace('_', ' ')}: {first.device.get(key)!r} and {second.device.get(key)!r}"
        for key in _DEVICE_KEYS
        if first.device.get(key) != second.device.get(key)
    ]
    if unlike:
        raise MeasureError(f"the results are of different machines ({'; '.join(unlike)}): measure both on one")
    if first.frame is None or second.frame is None:
        if first.pipeline != second.pipeline:
            raise MeasureError(
                f"one result times {first.pipeline}, the other {second.pipeline}: they are never compared. Measure "
                "both as bundles or steps' folders, or both with --engine-only"
            )
    elif (first.frame.sha256, first.frame.shape) != (second.frame.sha256, second.frame.shape):
        frames = f"{first.frame.name} {first.frame.shape} and {second.frame.name} {second.frame.shape}"
        raise MeasureError(f"the results are of different frames ({frames}): measure both with one --frame")
    if first.config and second.config and first.config.threads != second.config.threads:
        threads = f"{first.config.threads} and {second.config.threads}"
        raise MeasureError(f"the results used {threads} threads: measure both with one --threads")
    if first.evidence != second.evidence:
        raise MeasureError(f"one result is {first.evidence}, the other {second.evidence}: they are never compared")


def _refuse_other_sizes(a: Row, b: Row) -> None:
    """Engines timed alone take inputs of any size; two runs at two sizes say nothing of the files."""
    if a.engine_only and b.engine_only and a.engine_only.n_values != b.engine_only.n_values:
        raise MeasureError(
            f"{a.name} was fed {a.engine_only.words}, {b.name} {b.engine_only.words}: measure both with one --size or "
            "--shape"
        )


def _evidence(result: BenchResult) -> tuple[str, ...]:
    if result.evidence == "device":
        return ()
    return (f"evidence {result.evidence}: {EVIDENCE_WORDS[result.evidence]}",)


def _fed(a: Row, b: Row) -> tuple[str, ...]:
    """What a reader of times of engines alone must know."""
    if a.engine_only is None or b.engine_only is None:
        return ()
    alone = "engine only: nothing before or after the engine is in these times"
    if a.engine_only.words == b.engine_only.words:
        return (alone,)
    return (alone, f"inputs differ: {a.name} was fed {a.engine_only.words}, {b.name} {b.engine_only.words}")


def _differences(first: BenchResult, second: BenchResult) -> tuple[str, ...]:
    """What differs between two files and may be the very thing that is compared."""
    sides = [
        (key, first.software.get(key), second.software.get(key)) for key in {**first.software, **second.software}
    ] + [(key.replace("_", " "), first.device.get(key), second.device.get(key)) for key in _NOTED_DEVICE_KEYS]
    return tuple(f"{key}: {one or 'none'} and {other or 'none'}" for key, one, other in sides if one != other)
