"""Deciding steps: which student goes on, and what ships. Only val and measured latency are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgeseg.benchmarks.result_file import read_result
from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.pipeline.learned.findings import skill_refusal
from edgeseg.pipeline.plan.gates import Row
from edgeseg.pipeline.plan.layout import ROWS, VARIANT_ROWS
from edgeseg.pipeline.plan.rows import add_latency, model_row, parent_file_of
from edgeseg.pipeline.recipe.gate_section import GateSection

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
        # Of equals the one without the method: what does not beat its baseline is not used.
        student = max(("student_alone", "student_distilled"), key=lambda name: dice[name])
        better = "is better" if dice["student_alone"] != dice["student_distilled"] else "is as good"
        reason = f"distillation is refused ({distilled['reason']}); {student} {better} on val"
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
    rows = []
    for layout in VARIANT_ROWS:
        row = model_row(layout, context.results, context.folders, gates, ("val",))
        rows.append(add_latency(row, layout, bench, parent_file_of(layout, context.results), gates))
    return what_ships(rows, gates)


def what_ships(rows: Sequence[Row], gates: GateSection) -> dict[str, Any]:
    """`step variant target reason` of the variant that ships; all but the reason are None where none does.

    Args:
        rows: Of the variants, with val and latency.
        gates: Budgets.
    """
    good = [row for row in rows if row["status"] == "ok"]
    accepted = [row for row in good if not row.get("refused_for") and row["latency_ms"]]
    if not accepted:
        unlearned = [skill_refusal(row["skill"], gates.min_skill) for row in good]
        of_no_use = bool(unlearned) and all(unlearned)
        reason = f"no variant is of use, for {unlearned[0]}" if of_no_use else "no variant holds all budgets"
        return {"step": None, "variant": None, "target": None, "reason": reason}
    best = min(accepted, key=lambda row: row["latency_ms"]["total"]["p50"])
    p50 = best["latency_ms"]["total"]["p50"]
    reason = f"lowest p50 of the whole pipeline ({p50:.2f} ms) of {len(accepted)} variants that hold all budgets"
    return {"step": best["name"], "variant": best["variant"], "target": best["target"], "reason": reason}


def _row(context: StepContext, name: str) -> Row:
    return model_row(_BY_NAME[name], context.results, context.folders, context.recipe.gates, ("val",))


def _val_dice(row: Row) -> float:
    """-1 where there is none: the file was not scored, or val and the masks have no foreground."""
    dice = (row["accuracy"]["val"] or {}).get("dice_mean")
    return -1.0 if dice is None else float(dice)
