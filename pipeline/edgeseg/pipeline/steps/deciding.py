"""Deciding steps: which student goes on, and what ships. Only val and measured latency are looked at."""

from __future__ import annotations

from typing import Any

from edgeseg.benchmarks.result_file import read_result
from edgeseg.pipeline.chain import StepContext
from edgeseg.pipeline.gates import Row
from edgeseg.pipeline.layout import ROWS, VARIANT_ROWS
from edgeseg.pipeline.rows import add_latency, model_row, parent_file_of

_BY_NAME = {row.name: row for row in ROWS}


def run_choose_student(context: StepContext) -> dict[str, Any]:
    """Take the distilled student; if distillation is refused, the better student on val.

    `teaches` is the network whose answers fine-tuning after pruning follows: the teacher, or the unpruned student
    itself where it has become better than its teacher on val.
    """
    rows = {name: _row(context, name) for name in ("teacher", "student_distilled", "student_alone")}
    dice = {name: _val_dice(row) for name, row in rows.items()}
    distilled = rows["student_distilled"]
    if distilled["status"] == "ok":
        student, reason = "student_distilled", "distillation holds its budget and beats its baseline on val"
    else:
        student = max(("student_distilled", "student_alone"), key=lambda name: dice[name])
        reason = f"distillation is refused ({distilled['reason']}); {student} is better on val"
    teaches = max(("teacher", student), key=lambda name: dice[name])
    return {"student": student, "reason": reason, "teaches": teaches}


def run_choose_final(context: StepContext) -> dict[str, Any]:
    """Take the pruned student, or the one before it if pruning is refused."""
    before = context.results["choose_student"]["result"]["student"]
    pruned = _row(context, "student_pruned")
    if pruned["status"] == "ok":
        return {"student": "student_pruned", "reason": "pruning holds its budget on val"}
    return {"student": before, "reason": f"pruning is refused: {pruned['reason']}"}


def run_ship(context: StepContext) -> dict[str, Any]:
    """Fix what ships: of the variants that hold every budget, the one with the lowest whole-pipeline p50 here."""
    bench = read_result(context.folders["bench"].files / "bench.json")
    gates = context.recipe.gates
    accepted: list[Row] = []
    for layout in VARIANT_ROWS:
        row = model_row(layout, context.results, context.folders, gates, ("val",))
        row = add_latency(row, layout, bench, parent_file_of(layout, context.results), gates)
        if row["status"] == "ok" and not row.get("refused_for") and row["latency_ms"]:
            accepted.append(row)
    if not accepted:
        return {"step": None, "variant": None, "target": None, "reason": "no variant holds all budgets"}
    best = min(accepted, key=lambda row: row["latency_ms"]["total"]["p50"])
    p50 = best["latency_ms"]["total"]["p50"]
    reason = f"lowest p50 of the whole pipeline ({p50:.2f} ms) of {len(accepted)} variants that hold all budgets"
    return {"step": best["name"], "variant": best["variant"], "target": best["target"], "reason": reason}


def _row(context: StepContext, name: str) -> Row:
    return model_row(_BY_NAME[name], context.results, context.folders, context.recipe.gates, ("val",))


def _val_dice(row: Row) -> float:
    summary = row["accuracy"]["val"]
    return float(summary["dice_mean"]) if summary else -1.0
