"""What a row may cost: decided on val and on measured latency, never on test."""

from __future__ import annotations

from collections.abc import Mapping

from edgeseg.compress.search.budget import Budget, misses
from edgeseg.pipeline.plan.row import Row
from edgeseg.pipeline.recipe.sections.gates import GateSection

# 0.96 - 0.94 is above 0.02 in floating point: shares of counted regions do meet their budget exactly.
_ROUNDING = 1e-9


def accuracy_refusal(row: Row, gates: GateSection) -> str | None:
    """Why a row's val figures keep it out, or None.

    Of a file the drop itself is held against the budget: it is this very file that ships, against a file of the same
    weights or the teacher, and no training would come out otherwise. A network stands for the method that has trained
    it, and the next training would differ by points: it is refused where the whole interval is beyond the budget, so
    that a small val does not refuse by chance.

    Args:
        row: With `accuracy.val` and its drops on val, where they exist.
        gates: Budgets; None switches one off.
    """
    drops = (
        ("Dice", "its parent", row.dice_drop_vs_parent, gates.max_dice_drop, "gates.max_dice_drop"),
        ("Dice", "the teacher", row.dice_drop_vs_teacher, gates.max_total_dice_drop, "gates.max_total_dice_drop"),
        (
            *("region recall", "the teacher", row.region_recall_drop_vs_teacher),
            *(gates.max_region_recall_drop, "gates.max_region_recall_drop"),
        ),
    )
    for figure, against, drop, budget, key in drops:
        found = (drop or {}).get("val")
        if not found or budget is None:
            continue
        sure = found["mean"] if row.kind == "variant" else found["lo95"]
        if sure is not None and sure > budget + _ROUNDING:
            least = "" if row.kind == "variant" else f", at least {100 * sure:.2f}"
            words = f"val {figure} is {100 * found['mean']:.2f} points below {against}{least}"
            return f"{words}; {key} allows {100 * budget:.2f}"
    return _region_refusal(row, gates)


def _region_refusal(row: Row, gates: GateSection) -> str | None:
    """Why the regions of a row keep it out: a gate that val cannot answer is not passed.

    A val that has no Dice either is told by `gates.min_skill`.
    """
    val, asked = row.accuracy["val"] or {}, gates.min_region_recall
    recall, alarms = val.get("region_recall"), val.get("false_regions_per_negative_frame")
    of_regions = [key for key in ("min_region_recall", "max_region_recall_drop") if getattr(gates, key) is not None]
    if of_regions and recall is None:
        return _unanswered(of_regions[0], "no region to be found", "with foreground")
    if asked is not None and recall is not None and recall < asked:
        return f"val region recall is {recall:.3f}; gates.min_region_recall asks for {asked:.3f}"
    key, allowed = "max_false_regions_per_negative_frame", gates.max_false_regions_per_negative_frame
    if allowed is None or (isinstance(alarms, float) and alarms <= allowed):
        return None
    if not isinstance(alarms, float):  # a text says why not
        return _unanswered(key, "no frame without foreground", "without foreground")
    return f"val has {alarms:.2f} false regions a good frame; gates.{key} allows {allowed:.2f}"


def _unanswered(key: str, lacks: str, wanted: str) -> str:
    remedy = f"give val frames {wanted} (`split` in meta.csv), or set the gate to null"
    return f"gates.{key} is set, but val has {lacks}: {remedy}"


def latency_refusals(speedups: Mapping[str, float | None], gates: GateSection) -> dict[str, str]:
    """Targets a variant is refused for, with the figures.

    Args:
        speedups: Measured ratio to the reference in the same engine by target; None where it could not be measured.
        gates: With `min_speedup` per target.
    """
    refused = {}
    for target, wanted in gates.min_speedup.items():
        if target not in speedups:
            continue
        ratio = speedups[target]
        if ratio is None:
            refused[target] = f"not measured on {target}, where {wanted:g} times the reference's speed is asked for"
        elif ratio < wanted:
            refused[target] = f"{ratio:.1f} times the reference's speed on {target}; {wanted:g} is asked for"
    return refused


def over_budget(budget: Budget, row: Row) -> tuple[str, ...]:
    """What a file exceeds by its own measurement, or could not be measured of it, in words.

    Args:
        budget: On the row's target.
        row: With latency.
    """
    total = ((row.latency_ms or {}).get("total") or {}).get("p50")
    own = {"latency_ms": total, "bytes": row.bytes, "energy_mj": (row.energy or {}).get("gross_mj")}
    # Not the ceilings: the milliseconds that a speed-up comes to are those of the minute the reference was timed in.
    over = [str(one) for one in misses({name: limit for name, limit in budget.limits.items() if name in own}, own)]
    asked, found = budget.speedup, row.speedup_vs_reference
    if asked is not None and not found:
        over.append("its speed beside the reference could not be measured")
    elif asked is not None and found and found["ratio"] < asked:
        low, high = found["lo95"], found["hi95"]
        interval = "" if low is None else f" ({low:.1f} to {high:.1f})"
        over.append(f"beside the reference it is {found['ratio']:.3g}{interval} times as fast, {asked:g} were asked")
    return tuple(over)
