"""`edgeseg fit`: from a trained teacher to the best network within what a device can afford, with the evidence.

The chain trains teacher and student. From there: reachability first, then short trainings to choose how to cut, rounds
toward the budget, the final training, the baselines, more seeds for the two that matter, and the winner on val ships.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.compress.search.budget import misses
from edgeseg.pipeline.learned.findings import skill_refusal
from edgeseg.pipeline.search.contest import (
    Finalist,
    accuracy_of,
    baselines_of,
    contest,
    method_of,
    uncut,
)
from edgeseg.pipeline.search.lab import BudgetError, Lab
from edgeseg.pipeline.search.page import render_fit
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
from edgeseg.runtime.atomic import write_json

# From the winner's checkpoint folder to what `fit_ship.ship` returns.
Shipper = Callable[[Path], dict[str, Any]]


@dataclass(frozen=True)
class FitResult:
    """What a fit leaves behind.

    Attributes:
        record: Content of fit.json; paths in it are relative to its folder.
        fit_json: Where it is.
        fit_html: The page beside it.
    """

    record: Record
    fit_json: Path
    fit_html: Path

    @property
    def met(self) -> bool:
        """Whether a network holds the budget."""
        return bool(self.record["status"] == "ok")

    @property
    def passed(self) -> bool:
        """Whether one holds it that has learned something."""
        return self.met and not self.record["not_learned"]


def fit_network(
    lab: Lab, start: Start, *, taught: bool, teacher_ms: float | None, ship: Shipper, command: str = ""
) -> FitResult:
    """Fit a trained student to the budget, and write what was found.

    Args:
        lab: Place and tools.
        start: Student, its measured cost, and whose answers fine-tuning follows.
        taught: Whether baselines from scratch are distilled too, as the student was.
        teacher_ms: p50 of the FP32 teacher on the target [ms], for a budget in `speedup`.
        ship: Makes what ships of the winner's checkpoint.
        command: What the user typed.

    Raises:
        MeasureError: If the target disappears; everything measured and trained is kept for the same command.
    """
    record = head(lab, command) | {"teacher_ms": teacher_ms, "rounds": [], "ways": [], "failed_ways": {}}
    record["student"] = {"name": start.name, "figures": start.figures}
    try:
        record |= _fitted(lab, start, taught, ship, record)
    except BudgetError as err:
        record |= _not_met(lab, err, teacher_ms)
    record |= _learned(lab, record)
    record |= {"prediction": prediction_record(lab), "time": time_record(lab), "journal": lab.journal.trainings}
    result = FitResult(record, lab.journal.root / "fit.json", lab.journal.root / "fit.html")
    write_json(result.fit_json, record)
    render_fit(json.loads(result.fit_json.read_text()), result.fit_html)
    return result


def _fitted(lab: Lab, start: Start, taught: bool, ship: Shipper, record: Record) -> Record:
    """Everything from the first cut to the bundle; `record` is filled as far as a budget that is missed lets it."""
    cut_needed = bool(misses(lab.ceilings, start.figures))
    if cut_needed:
        method = _method(lab, start, record)
    else:
        lab.learn(start.student.arch, start.figures)
        method = uncut(lab, start)
    record["student"] |= accuracy_of(lab, "student", start.student)
    baselines, missing = baselines_of(lab, start, taught, method.parts)
    winner, rival = contest(lab, method, baselines, missing)
    found = contest_record(lab, method, rival, winner)
    student = point("student", start.figures, record["student"], "student") if cut_needed else None
    points = points_of(student, [method, *baselines])
    shipped = ship(winner.folders[winner.best_seed])
    return {
        "status": "ok",
        "sentence": found["sentence"],
        "detail": _detail(lab, winner, shipped),
        "over_budget": _over_budget(lab, shipped),
        "contest": found,
        "finalists": [one.to_json() for one in (method, *baselines)],
        "missing_baselines": missing,
        "points": points,
        "chosen": {
            "name": winner.name,
            "seed": winner.best_seed,
            "point": winner.label(winner.best_seed),
            "training": winner.folders[winner.best_seed].parent.name,
            "figures": winner.figures,
            "checkpoint": shipped.get("checkpoint")
            or os.path.relpath(winner.folders[winner.best_seed], lab.journal.root),
            "shipped": shipped or None,
        },
    }


def _learned(lab: Lab, record: Record) -> Record:
    """`warnings`, and `not_learned`: why what ships is of no use, or None."""
    chosen, least = record.get("chosen") or {}, lab.recipe.gates.min_skill
    shipped = chosen.get("shipped") or {}
    trained = {one["name"]: one["result"]["history"] for one in lab.journal.trainings}
    history = trained.get(chosen.get("training"))
    return {
        "warnings": lab.evidence.warnings(shipped, history, least),
        "not_learned": skill_refusal(shipped.get("skill"), least),
    }


def _method(lab: Lab, start: Start, record: Record) -> Finalist:
    """The layer table, reachability, the choice of a way, the rounds; no training before the budget is in reach."""
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


def _detail(lab: Lab, winner: Finalist, shipped: dict[str, Any]) -> str:
    """What the network costs, by the measurement of the search and of the file that ships."""
    cost = ", ".join(f"{name} {winner.figures[name]:.4g} of {limit:.4g}" for name, limit in lab.ceilings.items())
    words = f"Budget: {cost}"
    total = _total_ms(shipped)
    if total is not None:
        words += f". The shipped file, measured again beside the teacher: {total:.2f} ms, {shipped['bytes']} bytes"
    over = _over_budget(lab, shipped)
    words += f". Not within the budget: {'; '.join(over)}" if over else ""
    if lab.recipe.quantize.float_paths and not lab.recipe.fit.float_paths:
        words += ". quantize.float_paths are of the chain's student and were left out; fit.float_paths are read here"
    return f"{words}."


def _total_ms(shipped: dict[str, Any]) -> float | None:
    """p50 of the shipped file's whole pipeline [ms], where it was measured."""
    value = ((shipped.get("latency_ms") or {}).get("total") or {}).get("p50")
    return None if value is None else float(value)


def _over_budget(lab: Lab, shipped: dict[str, Any]) -> list[str]:
    """What the file that ships exceeds by its own measurement, or could not be measured again of it, in words."""
    if not shipped:
        return []
    own = {"latency_ms": _total_ms(shipped), "bytes": shipped.get("bytes")}
    # Not the ceilings: the milliseconds that a speed-up comes to are those of the minute the teacher was timed in.
    over = [str(one) for one in misses({name: limit for name, limit in lab.budget.limits.items() if name in own}, own)]
    asked, found = lab.budget.speedup, shipped.get("speedup_vs_teacher")
    if asked is not None and not found:
        over.append("its speed beside the teacher could not be measured")
    elif asked is not None and found and found["ratio"] < asked:
        low, high = found["lo95"], found["hi95"]
        interval = "" if low is None else f" ({low:.1f} to {high:.1f})"
        over.append(f"beside the teacher it is {found['ratio']:.3g}{interval} times as fast, {asked:g} were asked")
    return over


def _not_met(lab: Lab, err: BudgetError, teacher_ms: float | None) -> Record:
    """The best that was reached, and the budget that it would hold."""
    nearest = nearest_budget(lab, err.best, teacher_ms)
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
