"""The doctor's one sentence: use INT8 as it is, use it with float layers, or do not use it here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from edgeseg.compress.int8.sensitivity import Sensitivity
from edgeseg.pipeline.int8.race import Race
from edgeseg.runtime.score.intervals import Drop


@dataclass(frozen=True)
class Verdict:
    """What the doctor says.

    Attributes:
        status: `refused` where INT8 is on no target shown to be faster than float without losing more than is allowed
            there, or where masks say nothing.
        sentence: The verdict; what was found of the masks comes first.
        detail: Its figures.
        refused_for: Targets that INT8 is refused for.
    """

    status: Literal["ok", "refused"]
    sentence: str
    detail: str
    refused_for: tuple[str, ...] = ()


def verdict_of(
    found: Sensitivity, races: Mapping[str, Race], findings: Sequence[str] = (), lost: Mapping[str, str] | None = None
) -> Verdict:
    """Judge what was found.

    Args:
        found: The search.
        races: Its result against float, by target.
        lost: Of targets whose own INT8 file loses too much, from `too_much_lost`, by target; it is then refused there.
        findings: What keeps the figures from meaning anything, from `findings`; INT8 is then refused.
    """
    kept = len(found.found.float_layers)
    before, after = found.trials[0].drop, found.found.drop
    layers = f"{kept} layer{'s' if kept > 1 else ''} in float"
    without = f" (without them a loss of {hundredths(before.mean)})" if kept else ""
    with_layers = f" with {layers}" if kept else ""
    threads = next(iter(races.values())).threads
    timed = " ".join(f"{target}: {figures(raced)}" for target, raced in races.items())
    detail = (
        f"On val INT8{with_layers}: {change(after)}{_shown(after)}{without}. "
        f"Whole pipeline, p50, {threads} thread(s), float and INT8 in one run. {timed}"
    )
    if findings:
        words = " ".join(findings)
        return Verdict("refused", f"{words} So the figures do not speak for INT8.", detail, tuple(races))
    lost = lost or {}
    slow = tuple(target for target, raced in races.items() if raced.verdict != "faster" and target not in lost)
    refused = tuple(target for target in races if target in slow or target in lost)
    reasons = [f"Refused for {' and '.join(slow)}: INT8{with_layers} is not faster than float there."] if slow else []
    refusal = " ".join(reasons + [f"Refused for {target}: {words}" for target, words in lost.items()])
    if len(refused) == len(races):
        return Verdict("refused", refusal, detail, refused)
    speed = ", ".join(f"{races[one].ratio:.2f} times as fast on {one}" for one in races if one not in refused)
    health = "INT8 is healthy" if after.verdict in (None, "not worse") else "INT8 looks healthy, which is not shown"
    first = f"Keep {layers}. In INT8 then {change(after)}" if kept else f"{health}: {change(after)}"
    return Verdict("ok", f"{first}. It is {speed}.{f' {refusal}' if refused else ''}", detail, refused)


def too_much_lost(drops: Mapping[str, float], max_drop: float) -> dict[str, str]:
    """Why a target's own INT8 file is refused; a target whose file loses no more than is allowed has no entry.

    Args:
        drops: Dice that each target's file loses against float, as a share.
        max_drop: What is allowed.
    """
    allowed = f"{hundredths(max_drop)} are allowed"
    return {
        target: f"its own INT8 file loses {hundredths(drop)} points of Dice, {allowed}."
        for target, drop in drops.items()
        if drop > max_drop
    }


def change(drop: Drop) -> str:
    """`loses 0.31 points of Dice, 95 % interval ...`; what the interval does not show is not claimed."""
    side = "a loss" if drop.mean >= 0 else "a gain"
    estimate = f"{hundredths(abs(drop.mean))} points"
    if drop.lo95 is None or drop.hi95 is None:
        return f"no change of Dice is shown: the estimate is {side} of {estimate}, with no interval (one group)"
    bounds = f"95 % interval of the loss {hundredths(drop.lo95)} to {hundredths(drop.hi95)} points"
    if drop.lo95 <= 0 <= drop.hi95:
        return f"no change of Dice is shown: the estimate is {side} of {estimate}, {bounds}"
    return f"it {'loses' if drop.mean > 0 else 'gains'} {estimate} of Dice, {bounds}"


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
