"""Deciding steps: which student goes on, and what ships. Only val and measured latency are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgeseg.benchmarks.result_file import read_result
from edgeseg.compress.search.budget import Budget
from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.pipeline.learned.findings import skill_refusal
from edgeseg.pipeline.plan.gates import Row, over_budget
from edgeseg.pipeline.plan.layout import CHOOSE_FINAL, CUT, ROWS, VARIANT_ROWS
from edgeseg.pipeline.plan.rows import add_latency, model_row, parent_file_of
from edgeseg.pipeline.recipe.gate_section import GateSection

_BY_NAME = {row.name: row for row in ROWS}


def run_choose_student(context: StepContext) -> dict[str, Any]:
    """Take the distilled student; if distillation is refused, the better student on val.

    `teaches` is the network whose answers fine-tuning after pruning follows: the teacher, or the unpruned student
    itself where it has become better than its teacher on val. A student that the recipe names goes on as it is.
    """
    rows = {name: _row(context, name) for name in ("teacher", "student_distilled", "student_alone")}
    dice = {name: _val_dice(row) for name, row in rows.items()}
    distilled, named = rows["student_distilled"], context.step.settings.get("named")
    if named is not None:
        student, reason = named, "fit.student names it"
    elif distilled["status"] == "ok":
        student, reason = "student_distilled", "distillation holds its budget and beats its baseline on val"
    else:
        # Of equals the one without the method: what does not beat its baseline is not used.
        student = max(("student_alone", "student_distilled"), key=lambda name: dice[name])
        better = "is better" if dice["student_alone"] != dice["student_distilled"] else "is as good"
        reason = f"distillation is refused ({distilled['reason']}); {student} {better} on val"
    teaches = max(("teacher", student), key=lambda name: dice[name])
    return {"student": student, "reason": reason, "teaches": teaches}


def run_choose_final(context: StepContext) -> dict[str, Any]:
    """Take the network that holds the budget; where there is none nothing goes on, and without a budget the student.

    What `gates.max_total_dice_drop` says of that network it says again of every file that is made of it.
    """
    made, row = context.results[CUT]["result"], _row(context, CUT)
    if made.get("status") == "not measured":
        return {"student": context.results["choose_student"]["result"]["student"], "reason": made["reason"]}
    if row["accuracy"]["val"] is None:  # no network holds the budget, or it has no file
        return {"student": CUT, "status": "refused", "reason": row["reason"]}
    doubt = f"; but {row['reason']}" if row["status"] == "refused" else ""
    return {"student": CUT, "reason": f"it holds the budget{doubt}"}


def run_ship(context: StepContext) -> dict[str, Any]:
    """Fix what ships: of the variants that hold every budget, the one with the lowest whole-pipeline p50 here."""
    final = context.results[CHOOSE_FINAL]["result"]
    if final.get("status", "ok") != "ok":
        return _nothing(final["reason"])
    bench = read_result(context.folders["bench"].files / "bench.json")
    gates, said = context.recipe.gates, context.step.settings["budget"]
    rows = []
    for layout in VARIANT_ROWS:
        row = model_row(layout, context.results, context.folders, gates, ("val",))
        rows.append(add_latency(row, layout, bench, parent_file_of(layout, context.results), gates))
    return what_ships(rows, gates, None if said is None else Budget(**said))


def what_ships(rows: Sequence[Row], gates: GateSection, budget: Budget | None = None) -> dict[str, Any]:
    """`step variant target reason` of the variant that ships; all but the reason are None where none does.

    A budget is of one target: what is for another does not ship. `over_budget` says where even the best is beyond it.

    Args:
        rows: Of the variants, with val and latency.
        gates: Budgets.
        budget: What the device can afford.
    """
    good = [row for row in rows if row["status"] == "ok" and (budget is None or row["target"] == budget.target)]
    accepted = [row for row in good if not row.get("refused_for") and row["latency_ms"]]
    if not accepted:
        unlearned = [skill_refusal(row["skill"], gates.min_skill) for row in good]
        of_no_use = bool(unlearned) and all(unlearned)
        reason = f"no variant is of use, for {unlearned[0]}" if of_no_use else "no variant holds all budgets"
        return _nothing(reason)
    over = {row["name"]: [] if budget is None else over_budget(budget, row) for row in accepted}
    within = [row for row in accepted if not over[row["name"]]]
    best = min(within or accepted, key=lambda row: row["latency_ms"]["total"]["p50"])
    p50 = best["latency_ms"]["total"]["p50"]
    reason = f"lowest p50 of the whole pipeline ({p50:.2f} ms) of {len(within)} variants that hold all budgets"
    if not within:
        reason = f"lowest p50 of the whole pipeline ({p50:.2f} ms), but not within the budget"
    shipped = {"step": best["name"], "variant": best["variant"], "target": best["target"], "reason": reason}
    return shipped | {"over_budget": over[best["name"]]}


def _nothing(reason: str) -> dict[str, Any]:
    return {"step": None, "variant": None, "target": None, "reason": reason, "over_budget": []}


def _row(context: StepContext, name: str) -> Row:
    return model_row(_BY_NAME[name], context.results, context.folders, context.recipe.gates, ("val",))


def _val_dice(row: Row) -> float:
    """-1 where there is none: the file was not scored, or val and the masks have no foreground."""
    dice = (row["accuracy"]["val"] or {}).get("dice_mean")
    return -1.0 if dice is None else float(dice)
