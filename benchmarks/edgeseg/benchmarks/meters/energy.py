"""Energy per inference of one row: of exactly the blocks that its latency is of, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from edgeseg.benchmarks.meters.trace import PowerTrace, Stretch
from edgeseg.benchmarks.results.samples import ProcessRun
from edgeseg.benchmarks.results.told import Told
from edgeseg.runtime.score.students_t import student_95

# Fewer readings, or a shorter time, say more about the meter than about the model.
MIN_READINGS, MIN_SECONDS = 20, 10.0
# A block without readings of its own would be given its neighbours' power.
_MIN_PER_BLOCK = 2.0
_MOST_FAILED = 0.1
# A sensor that is silent for longer has missed something [s], or several of its own periods.
_GAP_S, _GAP_PERIODS = 1.0, 5.0


@dataclass(frozen=True)
class Energy:
    """What one inference took.

    Attributes:
        gross_mj: All the energy of the blocks / inferences [mJ]: the headline.
        net_mj: Without what the idle machine would have taken in that time [mJ].
        power_w: Mean power within the blocks [W].
        idle_before_w: Mean power before the measurement, nothing of it running [W].
        idle_after_w: The same after it [W]. What is subtracted is the mean of both.
        window_s: Length of all blocks together [s].
        n_inferences: Calls within the blocks.
        n_readings: Readings of the meter within the blocks.
        uncertainty_mj: Half the 95 % interval of `gross_mj` over processes, and one step of the sensor, as far as it
            is known [mJ]; `None` with a single process. It knows nothing of the sensor's own calibration.
    """

    gross_mj: float
    net_mj: float
    power_w: float
    idle_before_w: float
    idle_after_w: float
    window_s: float
    n_inferences: int
    n_readings: int
    uncertainty_mj: float | None

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON."""
        return asdict(self)


def energy_of(processes: Sequence[ProcessRun], trace: PowerTrace) -> Energy | str:
    """The energy per inference of a row's samples.

    Args:
        processes: The row's samples.
        trace: The meter's readings over the whole run.

    Returns:
        The energy, or the reason why there is none.
    """
    stretches = [[stretch_of(process, k) for k in range(len(process.blocks))] for process in processes]
    calls = [sum(len(block.infer_ns) for block in process.blocks) for process in processes]
    return _energy(stretches, calls, trace)


def energy_of_told(told: Sequence[Told], trace: PowerTrace) -> Energy | str:
    """The same of another tool's processes, each of which is one block, where it is known when they ran."""
    stretches = [[None if one.window_ns is None else Stretch(*one.window_ns)] for one in told]
    return _energy(stretches, [one.n or 0 for one in told], trace)


def _energy(stretches: Sequence[Sequence[Stretch | None]], n: Sequence[int], trace: PowerTrace) -> Energy | str:
    flat = [stretch for process in stretches for stretch in process]
    known = [stretch for stretch in flat if stretch is not None]
    if len(known) != len(flat) or not flat or not all(n):
        return "the samples do not say when they were taken"
    reason = _too_little(known, trace) or _faulty(known, trace)
    if reason:
        return reason
    joules = [[trace.joules(s) or 0.0 for s in process if s] for process in stretches]
    idle = trace.watts(trace.idle_before), trace.watts(trace.idle_after)
    if idle[0] is None or idle[1] is None:
        return "the meter did not read before and after the measurement"
    total_j, window_s = math.fsum(math.fsum(process) for process in joules), math.fsum(s.seconds for s in known)
    if not total_j > 0:
        return f"{trace.sensor.sensor} says {total_j / window_s:.3f} W while work was done: that is no total"
    gross = total_j / sum(n) * 1e3
    each = [sum(part) / count * 1e3 for part, count in zip(joules, n, strict=True)]
    return Energy(
        gross,
        gross - (idle[0] + idle[1]) / 2 * window_s / sum(n) * 1e3,
        total_j / window_s,
        idle[0],
        idle[1],
        window_s,
        sum(n),
        sum(trace.count(stretch) for stretch in known),
        _uncertainty(each, (trace.sensor.step_w or 0.0) * window_s / sum(n) * 1e3),
    )


def stretch_of(process: ProcessRun, k: int) -> Stretch | None:
    """When the `k`-th block of a process ran, or `None` in results of before there were meters."""
    block = process.blocks[k]
    if process.origin_ns is None or block.end_ns is None:
        return None
    return Stretch(process.origin_ns + block.start_ns, process.origin_ns + block.end_ns)


def _too_little(stretches: Sequence[Stretch], trace: PowerTrace) -> str | None:
    n, seconds = sum(trace.count(stretch) for stretch in stretches), sum(stretch.seconds for stretch in stretches)
    sensor = trace.sensor.sensor
    if seconds < MIN_SECONDS:
        return (
            f"the blocks last {seconds:.1f} s together, {MIN_SECONDS:g} s are needed: --seconds {MIN_SECONDS * 1.5:g}"
        )
    if n < MIN_READINGS or n < _MIN_PER_BLOCK * len(stretches):
        return (
            f"{n} readings of {sensor} fall into {len(stretches)} blocks of {seconds / len(stretches):.2f} s; "
            f"{MIN_READINGS} are needed, and {_MIN_PER_BLOCK:g} a block: --blocks 1 --seconds 60"
        )
    return None


def _faulty(stretches: Sequence[Stretch], trace: PowerTrace) -> str | None:
    sensor, tried = trace.sensor.sensor, trace.failed + len(trace.t_ns)
    if trace.failed > _MOST_FAILED * tried:
        return f"{sensor} gave no number in {trace.failed} of {tried} readings"
    if any(trace.joules(stretch) is None for stretch in stretches):
        return f"{sensor} was not read over the whole measurement"
    gap, allowed = max(trace.longest_gap_s(s) for s in stretches), max(_GAP_S, _GAP_PERIODS / trace.sensor.rate_hz)
    if gap > allowed:
        return f"{sensor} was silent for {gap:.1f} s"
    if trace.sensor.quantity == "energy_j" and any(b < a for a, b in pairwise(trace.values)):
        return f"the counter of {sensor} went backwards"
    return None


def _uncertainty(each_mj: Sequence[float], step_mj: float) -> float | None:
    if len(each_mj) < 2:
        return None
    error = float(np.std(each_mj, ddof=1)) / math.sqrt(len(each_mj))
    return math.hypot(student_95(len(each_mj) - 1) * error, step_mj)
