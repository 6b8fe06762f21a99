"""The doctor's one sentence: use INT8 as it is, use it with float layers, or do not use it here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgeseg.compress.sensitivity import Sensitivity
from edgeseg.pipeline.int8_doctor.race import Race
from edgeseg.runtime.intervals import DiceDifference


@dataclass(frozen=True)
class Verdict:
    """`refused` where INT8 is not shown to be faster than float on this target."""

    status: Literal["ok", "refused"]
    sentence: str
    detail: str


def verdict_of(found: Sensitivity, raced: Race, target: str) -> Verdict:
    """Judge what was found.

    Args:
        found: The search.
        raced: Its result against float.
        target: Where it was timed.
    """
    kept = len(found.found.float_layers)
    before, after = found.trials[0].drop, found.found.drop
    layers = f"{kept} layer{'s' if kept > 1 else ''} in float"
    cost = f"{points(after)} ({points(before)} without)" if kept else points(after)
    with_layers = f" with {layers}" if kept else ""
    detail = f"On val INT8{with_layers} {cost}, 95 % interval of the loss {interval(after)}. {figures(raced)}"
    if raced.verdict != "faster":
        return Verdict("refused", f"Refused for {target}: INT8{with_layers} is not faster than float here.", detail)
    if not kept:
        return Verdict("ok", f"INT8 is healthy: it {points(after)} and is {raced.ratio:.2f} times as fast.", detail)
    return Verdict("ok", f"Keep {layers}: INT8 then {points(after)} and is {raced.ratio:.2f} times as fast.", detail)


def points(drop: DiceDifference) -> str:
    """`loses 0.31 points of Dice`."""
    loss = 100 * drop.mean
    return f"{'loses' if loss >= 0.005 else 'gains' if loss <= -0.005 else 'loses'} {abs(loss):.2f} points of Dice"


def interval(drop: DiceDifference) -> str:
    """`-0.12 to 0.60` points, or that there is none."""
    if drop.lo95 is None or drop.hi95 is None:
        return "not known (one group)"
    return f"{100 * drop.lo95:.2f} to {100 * drop.hi95:.2f} points"


def figures(raced: Race) -> str:
    """Times of both and their ratio."""
    if raced.float_ms is None or raced.int8_ms is None or raced.ratio is None:
        return f"Not timed: {raced.reason}."
    bounds = "" if raced.lo95 is None or raced.hi95 is None else f", 95 % interval {raced.lo95:.2f} to {raced.hi95:.2f}"
    return (
        f"Whole pipeline, p50, {raced.threads} thread(s), in one run: float {raced.float_ms:.2f} ms, INT8 "
        f"{raced.int8_ms:.2f} ms, ratio {raced.ratio:.2f}{bounds}."
    )
