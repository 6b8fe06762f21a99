"""The doctor's one sentence: use INT8 as it is, use it with float layers, or do not use it here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from edgeseg.compress.sensitivity import Sensitivity
from edgeseg.pipeline.int8_doctor.race import Race
from edgeseg.runtime.intervals import Drop


@dataclass(frozen=True)
class Verdict:
    """`refused` where INT8 is not shown to be faster than float on any target; `refused_for` names those."""

    status: Literal["ok", "refused"]
    sentence: str
    detail: str
    refused_for: tuple[str, ...] = ()


def verdict_of(found: Sensitivity, races: Mapping[str, Race]) -> Verdict:
    """Judge what was found.

    Args:
        found: The search.
        races: Its result against float, by target.
    """
    kept = len(found.found.float_layers)
    before, after = found.trials[0].drop, found.found.drop
    layers = f"{kept} layer{'s' if kept > 1 else ''} in float"
    cost = f"{points(after)} ({hundredths(before.mean)} without)" if kept else points(after)
    with_layers = f" with {layers}" if kept else ""
    threads = next(iter(races.values())).threads
    timed = " ".join(f"{target}: {figures(raced)}" for target, raced in races.items())
    detail = (
        f"On val INT8{with_layers} {cost}, 95 % interval of the loss {interval(after)}{_shown(after)}. "
        f"Whole pipeline, p50, {threads} thread(s), float and INT8 in one run. {timed}"
    )
    refused = tuple(target for target, raced in races.items() if raced.verdict != "faster")
    refusal = f"Refused for {' and '.join(refused)}: INT8{with_layers} is not faster than float there."
    if len(refused) == len(races):
        return Verdict("refused", refusal, detail, refused)
    speed = ", ".join(f"{races[one].ratio:.2f} times as fast on {one}" for one in races if one not in refused)
    first = f"Keep {layers}: INT8 then {points(after)}" if kept else f"INT8 is healthy: it {points(after)}"
    return Verdict("ok", f"{first} and is {speed}.{f' {refusal}' if refused else ''}", detail, refused)


def points(drop: Drop) -> str:
    """`loses 0.31 points of Dice`."""
    loss = 100 * drop.mean
    return f"{'loses' if loss >= 0.005 else 'gains' if loss <= -0.005 else 'loses'} {abs(loss):.2f} points of Dice"


def interval(drop: Drop) -> str:
    """`-0.12 to 0.60` points, or that there is none."""
    if drop.lo95 is None or drop.hi95 is None:
        return "not known (one group)"
    return f"{hundredths(drop.lo95)} to {hundredths(drop.hi95)} points"


def hundredths(share: float) -> str:
    """A share of Dice in points with two digits, never `-0.00`."""
    return f"{round(100 * share, 2) + 0.0:.2f}"


def _shown(drop: Drop) -> str:
    """What the interval says of the budget; the search itself goes by the estimate."""
    if drop.verdict == "not worse":
        return ", all of it within the budget"
    return "" if drop.verdict is None else f", so {drop.n_images} images do not show that the budget holds"


def figures(raced: Race) -> str:
    """Times of both and their ratio."""
    if raced.float_ms is None or raced.int8_ms is None or raced.ratio is None:
        return f"Not timed: {raced.reason}."
    bounds = "" if raced.lo95 is None or raced.hi95 is None else f", 95 % interval {raced.lo95:.2f} to {raced.hi95:.2f}"
    return f"float {raced.float_ms:.2f} ms, INT8 {raced.int8_ms:.2f} ms, ratio {raced.ratio:.2f}{bounds}."
