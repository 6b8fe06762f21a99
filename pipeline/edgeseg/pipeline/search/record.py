"""search.json: everything a search has found, from the plan to the bill; its panel in the report is drawn from it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from edgeseg.benchmarks.machine.others import BUSY
from edgeseg.compress.search.predictor import Figures
from edgeseg.pipeline.plan.shown import said_of
from edgeseg.pipeline.recipe.sections.fit import BASELINES
from edgeseg.pipeline.search.contest import Finalist, Outcome
from edgeseg.pipeline.search.lab import Lab

SCHEMA_VERSION = 2
COSTS = ("latency_ms", "bytes", "macs")

Record = dict[str, Any]


def head(lab: Lab) -> Record:
    """What was asked, of whom."""
    return {
        "schema_version": SCHEMA_VERSION,
        "target": lab.probe.target,
        "target_identity": lab.probe.identity,
        "evidence": lab.evidence,
        "sensor": lab.sensor,
        "budget": lab.budget.limits,
        "ceilings": lab.ceilings,
    }


def contest_record(method: Finalist, outcome: Outcome) -> Record:
    """Who goes on by val, said plainly, with the interval that decided it."""
    rival, winner = outcome.rival, outcome.winner
    if rival is None:
        sentence = f"The {method.name} network goes on; no baseline was in the contest."
        return {"winner": winner.name, "baseline_wins": False, "sentence": sentence, "difference": None}
    wins = winner is not method
    said = said_of(
        f"the {method.name} network ({_mean(method)})",
        f"its best baseline {rival.name} ({_mean(rival)})",
        outcome.difference,
        "fit.final_seeds",
    )
    sentence = f"At the same budget {said}{f', and {rival.name} goes on' if wins else ''}."
    return {"winner": winner.name, "baseline_wins": wins, "sentence": sentence, "difference": outcome.difference}


def _mean(finalist: Finalist) -> str:
    """Its Dice [points], and of how many seeds it is the mean."""
    n = len(finalist.seeds)
    return f"{100 * finalist.dice:.2f}, {f'mean of {n} seeds' if n > 1 else '1 seed'}"


def prediction_record(lab: Lab) -> Record:
    """Predicted against measured latency: each network was predicted before its own measurement was known."""
    pairs = [
        {
            "predicted_ms": before,
            "measured_ms": figures["latency_ms"],
            "pace": figures.get("pace"),
            "arch": arch["name"],
            "macs": figures["macs"],
        }
        for arch, figures, before in lab.predictor.seen
        if before is not None and figures.get("latency_ms")
    ]
    errors = [abs(one["predicted_ms"] - one["measured_ms"]) / one["measured_ms"] for one in pairs]
    disturbed = [one for _, one, _ in lab.predictor.seen if (one.get("busy") or 0.0) > BUSY]
    return {
        "median_error": statistics.median(errors) if errors else None,
        "n": len(pairs),
        "pairs": pairs,
        "n_disturbed": len(disturbed),
    }


def time_record(lab: Lab) -> Record:
    """Where the time went [s], that of earlier passes included."""
    trainings_s = sum(row["wall_s"] for row in lab.journal.trainings)
    found: dict[str, float] = {}
    for (kind, _), seconds in lab.journal.finding_s.items():
        found[f"{kind}_s"] = found.get(f"{kind}_s", 0.0) + seconds
    rounded = {name: round(seconds, 1) for name, seconds in ({"trainings_s": trainings_s} | found).items()}
    return rounded | {"total_s": round(trainings_s + sum(found.values()), 1)}


def points_of(student: Record | None, finalists: Sequence[Finalist]) -> list[Record]:
    """Networks in the plane of accuracy and cost, each with whether no other is better in both."""
    points = [] if student is None else [student]
    for row in finalists:
        group = "baseline" if row.name in BASELINES else "pruned"
        points += [point(row.label(seed), row.figures, row.accuracy[seed], group) for seed in row.seeds]
    for cost in COSTS:
        for one in points:
            one[f"front_{cost}"] = not any(_beats(other, one, cost) for other in points)
    return points


def point(name: str, figures: Figures, accuracy: Record, group: str) -> Record:
    """One network of the plot."""
    return {
        "name": name,
        "group": group,
        "latency_ms": figures.get("latency_ms"),
        "bytes": figures.get("bytes"),
        "energy_mj": figures.get("energy_mj"),
        "macs": figures.get("macs"),
        "val_dice": accuracy["dice_mean"],
        "lo95": accuracy["lo95"],
        "hi95": accuracy["hi95"],
    }


def _beats(other: Record, point: Record, cost: str) -> bool:
    """Whether `other` is at least as good in both, and better in one."""
    a, b = other[cost], point[cost]
    if a is None or b is None:
        return False
    dice, mine = other["val_dice"] or 0.0, point["val_dice"] or 0.0
    return a <= b and dice >= mine and (a < b or dice > mine)


def nearest_budget(
    lab: Lab, best: Figures, reference_ms: float | None, student_macs: float | None = None
) -> dict[str, float]:
    """The budget that the best network reached would hold, in the words the user asked in, rounded to be safe."""
    margin = 1.0 - lab.recipe.fit.margin
    found: dict[str, float] = {}
    for name, limit in lab.budget.limits.items():
        value = best.get({"speedup": "latency_ms", "macs_ratio": "macs"}.get(name, name))
        if value is None:
            continue
        if name == "speedup":
            feasible = (reference_ms or 0.0) / (value / margin)
            found[name] = min(limit, math.floor(feasible * 100) / 100)
        elif name == "macs_ratio" and student_macs:
            found[name] = max(limit, math.ceil(value / student_macs * 100) / 100)
        else:
            found[name] = max(limit, _up(value / margin))
    return found


def _up(value: float) -> float:
    """Rounded up to three digits."""
    step = 10.0 ** (math.floor(math.log10(value)) - 2)
    return round(math.ceil(value / step) * step, 9)
