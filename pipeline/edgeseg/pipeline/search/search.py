"""From a trained student to the best network within what a device can afford, with the evidence.

Reachability first, then short trainings to choose how to cut, rounds toward the budget, the final training, the
baselines, more seeds for the two that matter, and the winner on val goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeseg.compress.search.budget import misses
from edgeseg.pipeline.search.contest import (
    Finalist,
    accuracy_of,
    baselines_of,
    contest,
    method_of,
    uncut,
)
from edgeseg.pipeline.search.lab import BudgetError, Lab
from edgeseg.pipeline.search.record import (
    Record,
    contest_record,
    head,
    nearest_budget,
    point,
    points_of,
    prediction_record,
    time_record,
)
from edgeseg.pipeline.search.rounds import Start, choose_way, go_in_rounds, reachable


@dataclass(frozen=True)
class Found:
    """What a search has come to.

    Attributes:
        record: Content of search.json.
        checkpoint: Folder of the winner; None where no network holds the budget.
    """

    record: Record
    checkpoint: Path | None


def search_network(lab: Lab, start: Start, *, taught: bool, reference_ms: float | None = None) -> Found:
    """Cut a trained student to the budget.

    Args:
        lab: Place and tools.
        start: Student, its measured cost, and whose answers fine-tuning follows.
        taught: Whether the thin students are distilled too, as the student was.
        reference_ms: p50 of the FP32 reference on the target [ms], for a budget in `speedup`.

    Raises:
        MeasureError: If the target disappears; everything measured and trained is kept for the same command.
    """
    record = head(lab) | {"reference_ms": reference_ms, "rounds": [], "ways": [], "failed_ways": {}}
    record["student"] = {"name": start.name, "figures": start.figures}
    checkpoint = None
    try:
        winner = _searched(lab, start, taught, record)
        checkpoint = winner.folders[winner.best_seed]
    except BudgetError as err:
        record |= _not_met(lab, start, err, reference_ms)
    record |= {"prediction": prediction_record(lab), "time": time_record(lab), "journal": lab.journal.trainings}
    return Found(record, checkpoint)


def _searched(lab: Lab, start: Start, taught: bool, record: Record) -> Finalist:
    """Everything from the first cut to the winner; `record` is filled as far as a budget that is missed lets it."""
    cut_needed = bool(misses(lab.ceilings, start.figures))
    if cut_needed:
        method = _method(lab, start, record)
    else:
        lab.learn(start.student.arch, start.figures)
        method = uncut(lab, start)
    record["student"] |= accuracy_of(lab, "student", start.student)
    baselines, missing = baselines_of(lab, start, taught, method.parts)
    outcome = contest(lab, method, baselines, missing)
    winner, found = outcome.winner, contest_record(method, outcome)
    student = point("student", start.figures, record["student"], "student") if cut_needed else None
    cost = ", ".join(f"{name} {winner.figures[name]:.4g} of {limit:.4g}" for name, limit in lab.ceilings.items())
    record |= {
        "status": "ok",
        "sentence": found["sentence"],
        "detail": f"Budget: {cost}.",
        "contest": found,
        "finalists": [one.to_json() for one in (method, *baselines)],
        "missing_baselines": missing,
        "points": points_of(student, [method, *baselines]),
        "chosen": {
            "name": winner.name,
            "seed": winner.best_seed,
            "point": winner.label(winner.best_seed),
            "training": winner.folders[winner.best_seed].parent.name,
            "figures": winner.figures,
        },
    }
    return winner


def _method(lab: Lab, start: Start, record: Record) -> Finalist:
    """The layer table, reachability, the choice of a way, the rounds; no training before the budget is in reach."""
    if lab.budget.is_timed:
        lab.predictor.prepare(
            start.student.arch,
            depth=lab.recipe.fit.depth,
            progress=lambda share, words: lab.progress("latency_table", share, words),
        )
        lab.progress("latency_table", 1.0, "unchanged")  # or not needed any longer
    lab.learn(start.student.arch, start.figures)
    cuts, record["failed_ways"] = reachable(lab, start)
    way, record["ways"] = choose_way(lab, start, cuts)
    record["way"] = way.name
    try:
        cut, record["rounds"] = go_in_rounds(lab, start, way)
    except BudgetError as err:  # importances change while training; the straight cut was measured to hold
        cut, record["rounds_failed"] = cuts[way], str(err)
    return method_of(lab, start, cut, way)


def _not_met(lab: Lab, start: Start, err: BudgetError, reference_ms: float | None) -> Record:
    """The best that was reached, and the budget that it would hold."""
    nearest = nearest_budget(lab, err.best, reference_ms, start.figures.get("macs"))
    text = ",".join(f"{name}={value:g}" for name, value in nearest.items()) or "none: nothing could be measured"
    reached = ", ".join(f"{name} {_shown(err.best.get(name))}" for name in lab.ceilings)
    return {
        "status": "budget not met",
        "sentence": f"No network of this search holds {lab.budget} on {lab.probe.target}.",
        "detail": f"Best reached: {reached}. Nearest feasible budget: {text}. ({err}) Everything measured is kept.",
        "best": err.best,
        "nearest_budget": nearest,
    }


def _shown(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4g}"
