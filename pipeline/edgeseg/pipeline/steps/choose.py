"""Deciding steps: which student goes on, and what ships. Only val and measured latency are looked at.

Each keeps the rows that it has computed for it, and nobody computes them again.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgeseg.benchmarks.result_file import read_result
from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.pipeline.learned.findings import skill_refusal
from edgeseg.pipeline.plan.layout import CHOOSE_STUDENT, ROWS, VARIANT_ROWS
from edgeseg.pipeline.plan.results import Choice, Shipped
from edgeseg.pipeline.plan.row import Row, save_rows
from edgeseg.pipeline.plan.rows import Found, val_row, with_latency
from edgeseg.pipeline.recipe.gate_section import GateSection

_BY_NAME = {row.name: row for row in ROWS}


def run_choose_student(context: StepContext) -> Choice:
    """Take the distilled student; if distillation is refused, the better student on val.

    `teaches` is the network whose answers fine-tuning after pruning follows: the teacher, or the unpruned student
    itself where it has become better than its teacher on val.
    """
    rows = _rows(context, "teacher", "student_distilled", "student_alone")
    dice = {name: _val_dice(row) for name, row in rows.items()}
    distilled = rows["student_distilled"]
    if distilled.status == "ok":
        student, reason = "student_distilled", "distillation holds its budget and beats its baseline on val"
    else:
        # Of equals the one without the method: what does not beat its baseline is not used.
        student = max(("student_alone", "student_distilled"), key=lambda name: dice[name])
        better = "is better" if dice["student_alone"] != dice["student_distilled"] else "is as good"
        reason = f"distillation is refused ({distilled.reason}); {student} {better} on val"
    return Choice(student, reason, teaches=max(("teacher", student), key=lambda name: dice[name]))


def run_choose_final(context: StepContext) -> Choice:
    """Take the pruned student, or the one before it if pruning is refused."""
    pruned = _rows(context, "student_pruned")["student_pruned"]
    if pruned.status == "ok":
        return Choice("student_pruned", "pruning holds its budget on val")
    return Choice(context.result(CHOOSE_STUDENT, Choice).student, f"pruning is refused: {pruned.reason}")


def run_ship(context: StepContext) -> Shipped:
    """Fix what ships: of the variants that hold every budget, the one with the lowest whole-pipeline p50 here."""
    bench, found = read_result(context.folders["bench"].files / "bench.json"), found_by(context)
    rows = [with_latency(val_row(layout, found), layout, bench, found) for layout in VARIANT_ROWS]
    save_rows(context.folder.files, rows)
    return what_ships(rows, found.gates)


def what_ships(rows: Sequence[Row], gates: GateSection) -> Shipped:
    """The variant that ships, if any does.

    Args:
        rows: Of the variants, with val and latency.
        gates: Budgets.
    """
    good = [row for row in rows if row.status == "ok"]
    accepted = {row.name: row for row in good if row.latency_ms and not row.refused_for}
    if not accepted:
        unlearned = [skill_refusal(row.skill, gates.min_skill) for row in good]
        of_no_use = bool(unlearned) and all(unlearned)
        reason = f"no variant is of use, for {unlearned[0]}" if of_no_use else "no variant holds all budgets"
        return Shipped(None, None, None, reason)
    p50 = {name: float((row.latency_ms or {})["total"]["p50"]) for name, row in accepted.items()}
    best = accepted[min(p50, key=lambda name: p50[name])]
    count = len(accepted)
    reason = f"lowest p50 of the whole pipeline ({p50[best.name]:.2f} ms) of {count} variants that hold all budgets"
    return Shipped(best.name, best.variant, best.target, reason)


def found_by(context: StepContext) -> Found:
    """What a step can put rows together from."""
    return Found(context.results, context.folders, context.section("gates", GateSection))


def _rows(context: StepContext, *names: str) -> dict[str, Row]:
    found = found_by(context)
    rows = {name: val_row(_BY_NAME[name], found) for name in names}
    save_rows(context.folder.files, rows.values())
    return rows


def _val_dice(row: Row) -> float:
    """-1 where there is none: the file was not scored, or val and the masks have no foreground."""
    dice = row.val_dice()
    return -1.0 if dice is None else dice
