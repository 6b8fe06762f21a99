"""Limits that a new model must keep against an old one measured beside it: `--gate latency_p90=+5% --against OLD`.

A gate of a time or an energy is broken where the whole 95 % interval lies beyond its limit, so that an equal model
breaks it about once in forty runs at a limit of 0, and next to never at a higher one. Where the measured value lies
beyond the limit and the interval does not, the run has not shown it, and says so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from edgeseg.benchmarks.checks import MIN_PROCESSES
from edgeseg.benchmarks.meters.energy import Energy
from edgeseg.benchmarks.results.result import BenchResult, Evidence, Row
from edgeseg.benchmarks.results.table import dice_of
from edgeseg.benchmarks.speedup import speedup
from edgeseg.runtime.errors import ConfigError, GateError, MeasureError

Outcome = Literal["kept", "broken", "not shown"]
# A change of the new against the old with its interval: ratios minus one, or points of Dice.
Change = tuple[float, float, float]

_FORM = re.compile(r"(\w+)=([+-]?\d+(?:\.\d+)?)(%?)")
SHARES = {"latency_p50": 0.5, "latency_p90": 0.9}


@dataclass(frozen=True)
class Gate:
    """One limit.

    Attributes:
        text: As it was typed.
        metric: One of `METRICS`.
        limit: The most it may rise, as a ratio; of `dice` the change that it must reach, in points (hundredths).
    """

    text: str
    metric: str
    limit: float

    @classmethod
    def parse(cls, text: str) -> Gate:
        """Read `latency_p90=+5%` or `dice=-0.2`.

        Raises:
            ConfigError: It has another form.
        """
        found = _FORM.fullmatch(text.strip())
        if found is None or found[1] not in METRICS:
            raise ConfigError(
                f"--gate {text}: it is METRIC=LIMIT such as latency_p90=+5%; METRIC is {', '.join(METRICS)}"
            )
        if (found[1] == "dice") == bool(found[3]):
            raise ConfigError(
                f"--gate {text}: dice is in points, such as dice=-0.2; all others in percent, such as +5%"
            )
        return cls(text.strip(), found[1], float(found[2]) / (1.0 if found[1] == "dice" else 100.0))


@dataclass(frozen=True)
class Decision:
    """A gate and what became of it for one pair of rows."""

    gate: Gate
    old: str
    new: str
    outcome: Outcome
    reason: str

    @property
    def sentence(self) -> str:
        """What is printed of it."""
        more = " (--processes 20 --seconds 30 may show it)" if self.outcome == "not shown" else ""
        return f"gate {self.gate.text}: {self.outcome}: {self.new} against {self.old}: {self.reason}{more}"


def raise_broken(decisions: Sequence[Decision]) -> None:
    """End with exit code 3 where a gate was broken.

    Raises:
        GateError: At least one was.
    """
    broken = [f"{one.new}: {one.gate.text} ({one.reason})" for one in decisions if one.outcome == "broken"]
    if broken:
        raise GateError(f"broken: {'; '.join(broken)}")


def decide(gate: Gate, result: BenchResult, old: str, new: str) -> Decision:
    """What a gate says of a pair of rows of one result.

    Raises:
        MeasureError: A row was not measured, or in an emulator, or lacks the gate's metric.
    """
    rows = result.row(old), result.row(new)
    for row in rows:
        if not row.processes:
            raise MeasureError(f"--gate {gate.text}: {row.name} has no samples: it is {row.status} ({row.reason})")
    evidence = _evidence(gate, result)
    change, low, high = METRICS[gate.metric](gate, result, *rows)
    sign, unit, scale = (-1, " points", 1.0) if gate.metric == "dice" else (1, " %", 100.0)
    beyond = sign * change > sign * gate.limit
    shown = min(sign * low, sign * high) > sign * gate.limit
    outcome: Outcome = "broken" if shown else "not shown" if beyond else "kept"
    interval = "" if low == high else f", 95 % interval {low * scale:+.2f} to {high * scale:+.2f}"
    told = "" if evidence == "device" else f", evidence {evidence}"
    return Decision(gate, old, new, outcome, f"{gate.metric} {change * scale:+.2f}{unit}{interval}{told}")


def _evidence(gate: Gate, result: BenchResult) -> Evidence:
    """Where the figures of a gate come from; `device` where nothing is measured for it."""
    if gate.metric not in (*SHARES, "energy"):
        return "device"
    evidence = result.energy_evidence if gate.metric == "energy" else result.evidence
    if evidence == "emulated":
        raise MeasureError(
            f"--gate {gate.text}: this was measured in an emulator, whose times mean nothing: measure on the device"
        )
    return evidence


def _latency(gate: Gate, result: BenchResult, old: Row, new: Row) -> Change:
    del result
    ratio = speedup(old.nested_ms(), new.nested_ms(), share=SHARES[gate.metric])
    if ratio.lo95 is None or ratio.hi95 is None:
        raise MeasureError(f"--gate {gate.text}: one process shows nothing: --processes {MIN_PROCESSES}")
    return 1 / ratio.ratio - 1, 1 / ratio.hi95 - 1, 1 / ratio.lo95 - 1


def _energy(gate: Gate, result: BenchResult, old: Row, new: Row) -> Change:
    found = [result.energy(row) for row in (old, new)]
    missing = next((one for one in found if isinstance(one, str)), None)
    first, second = found
    if not isinstance(first, Energy) or not isinstance(second, Energy):
        raise MeasureError(f"--gate {gate.text}: no energy: {missing}")
    ratio = second.gross_mj / first.gross_mj
    # Both were read by one sensor, so the errors that count are those of the two means.
    error = math.hypot((first.uncertainty_mj or 0) / first.gross_mj, (second.uncertainty_mj or 0) / second.gross_mj)
    return ratio - 1, ratio * (1 - error) - 1, ratio * (1 + error) - 1


def _dice(gate: Gate, result: BenchResult, old: Row, new: Row) -> Change:
    del result
    (first, split), (second, other) = dice_of(old), dice_of(new)
    if first is None or second is None or split != other:
        raise MeasureError(
            f"--gate {gate.text}: {old.name} and {new.name} have no Dice of one split in their manifests"
        )
    return ((second - first) * 100,) * 3  # the same images, scored by the same code


def _size(gate: Gate, result: BenchResult, old: Row, new: Row) -> Change:
    del result
    if not old.model.bytes or new.model.bytes is None:
        raise MeasureError(f"--gate {gate.text}: the size of {old.name} or {new.name} is not known")
    return (new.model.bytes / old.model.bytes - 1,) * 3


METRICS: dict[str, Callable[[Gate, BenchResult, Row, Row], Change]] = {
    "latency_p50": _latency,
    "latency_p90": _latency,
    "dice": _dice,
    "size": _size,
    "energy": _energy,
}
