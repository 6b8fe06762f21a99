"""What a row may cost: decided on val and on measured latency, never on test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeseg.compress.search.budget import Budget, misses
from edgeseg.pipeline.plan.row import Row
from edgeseg.pipeline.recipe.gate_section import GateSection


def accuracy_refusal(row: Row, gates: GateSection) -> str | None:
    """Why a row's val figures keep it out, or None.

    The point estimate is held against the budget; the interval and its verdict stand beside it in the report, so that a
    small split cannot make a drop look proven either way.

    Args:
        row: With `accuracy.val`, `dice_drop_vs_parent.val` and `dice_drop_vs_teacher.val` where they exist.
        gates: Budgets; None switches one off.
    """
    drops = (
        ("its parent", row.dice_drop_vs_parent, gates.max_dice_drop, "gates.max_dice_drop"),
        ("the teacher", row.dice_drop_vs_teacher, gates.max_total_dice_drop, "gates.max_total_dice_drop"),
    )
    for against, drop, budget, key in drops:
        found = (drop or {}).get("val")
        if found and budget is not None and found["mean"] > budget:
            return f"val Dice is {100 * found['mean']:.2f} points below {against}; {key} allows {100 * budget:.2f}"
    val = row.accuracy["val"] or {}
    recall = val.get("region_recall")
    if gates.min_region_recall is not None and isinstance(recall, float) and recall < gates.min_region_recall:
        return f"val region recall is {recall:.3f}; gates.min_region_recall asks for {gates.min_region_recall:.3f}"
    alarms, allowed = val.get("false_regions_per_negative_frame"), gates.max_false_regions_per_negative_frame
    if allowed is not None and isinstance(alarms, float) and alarms > allowed:
        return (
            f"val has {alarms:.2f} false regions a good frame; "
            f"gates.max_false_regions_per_negative_frame allows {allowed:.2f}"
        )
    return None


def baseline_refusal(row: Row, baseline: str, baseline_summary: Mapping[str, Any] | None) -> str | None:
    """Why a method is not used: without it, the same network is at least as good on val.

    Args:
        row: Of the method, with `accuracy.val`.
        baseline: Name of the row without the method.
        baseline_summary: Its `accuracy.val`, or None where it has no file to score.
    """
    if not baseline_summary:
        return None
    mine, plain = row.val_dice(), baseline_summary["dice_mean"]
    if mine is None or plain is None or mine > plain:
        return None
    return f"val Dice {mine:.3f} does not beat its baseline {baseline} ({plain:.3f})"


def latency_refusals(speedups: Mapping[str, float | None], gates: GateSection) -> dict[str, str]:
    """Targets a variant is refused for, with the figures.

    Args:
        speedups: Measured ratio to the teacher in the same engine by target; None where it could not be measured.
        gates: With `min_speedup` per target.
    """
    refused = {}
    for target, wanted in gates.min_speedup.items():
        if target not in speedups:
            continue
        ratio = speedups[target]
        if ratio is None:
            refused[target] = f"not measured on {target}, where {wanted:g} times the teacher's speed is asked for"
        elif ratio < wanted:
            refused[target] = f"{ratio:.1f} times the teacher's speed on {target}; {wanted:g} is asked for"
    return refused


def over_budget(budget: Budget, row: Row) -> tuple[str, ...]:
    """What a file exceeds by its own measurement, or could not be measured of it, in words.

    Args:
        budget: On the row's target.
        row: With latency.
    """
    total = ((row.latency_ms or {}).get("total") or {}).get("p50")
    own = {"latency_ms": total, "bytes": row.bytes}
    # Not the ceilings: the milliseconds that a speed-up comes to are those of the minute the teacher was timed in.
    over = [str(one) for one in misses({name: limit for name, limit in budget.limits.items() if name in own}, own)]
    asked, found = budget.speedup, row.speedup_vs_reference
    if asked is not None and not found:
        over.append("its speed beside the teacher could not be measured")
    elif asked is not None and found and found["ratio"] < asked:
        low, high = found["lo95"], found["hi95"]
        interval = "" if low is None else f" ({low:.1f} to {high:.1f})"
        over.append(f"beside the teacher it is {found['ratio']:.3g}{interval} times as fast, {asked:g} were asked")
    return tuple(over)
