"""Deciding steps: which student goes on, and what ships. Only val and measured latency are looked at.

Each keeps the rows that it has computed for it, and nobody computes them again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgeseg.benchmarks.results.result_file import read_result
from edgeseg.compress.search.budget import Budget
from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.pipeline.learned.findings import skill_refusal
from edgeseg.pipeline.plan.gates import over_budget
from edgeseg.pipeline.plan.layout import CHOOSE_FINAL, CHOOSE_STUDENT, CUT, ROWS, asked_rows
from edgeseg.pipeline.plan.results import Choice, Shipped
from edgeseg.pipeline.plan.row import Row, save_rows
from edgeseg.pipeline.plan.rows import SEEDS_KEY, Found, val_row, with_latency
from edgeseg.pipeline.plan.shown import said_of, shown_better, shown_worse
from edgeseg.pipeline.recipe.sections.gates import GateSection

_BY_NAME = {row.name: row for row in ROWS}


def run_choose_student(context: StepContext) -> Choice:
    """Take the distilled student, unless it is shown to be worse than the same student alone, or refused otherwise.

    `teaches` is the network whose answers fine-tuning after pruning follows: the teacher, or the unpruned student
    itself where it is shown to be better than its teacher on val. Where students follow more than the row `teacher`
    (several networks, mirrored views, what the recipe names instead) nothing shows that, and the teacher teaches on. A
    student that the recipe names goes on as it is.
    """
    rows = _rows(context, "teacher", "student_distilled", "student_alone")
    named = context.setting("named")
    student, reason = (str(named), "fit.student names it") if named is not None else _student(rows)
    beside_teacher = (rows[student].dice_drop_vs_teacher or {}).get("val")
    outgrown = context.setting("row_teaches") and shown_better(beside_teacher)
    return Choice(student, reason, teaches=student if outgrown else "teacher")


def _student(rows: Mapping[str, Row]) -> tuple[str, str]:
    """Which student goes on, and why."""
    distilled, alone = rows["student_distilled"], rows["student_alone"]
    drop = (distilled.dice_drop_vs_baseline or {}).get("val")
    if shown_worse(drop):
        return alone.name, said_of(distilled.name, alone.name, drop, SEEDS_KEY)
    if distilled.status == "ok":
        return distilled.name, said_of(distilled.name, alone.name, drop, SEEDS_KEY)
    if alone.status == "ok" or distilled.accuracy["val"] is None:
        return alone.name, f"{distilled.name} is {distilled.status} ({distilled.reason})"
    said = said_of(distilled.name, alone.name, drop, SEEDS_KEY)
    return distilled.name, f"both students are refused ({distilled.reason}); {said}"


def run_choose_final(context: StepContext) -> Choice:
    """Take the network that holds the budget; where there is none nothing goes on, and without a budget the student.

    What `gates.max_total_dice_drop` says of that network it says again of every file that is made of it.
    """
    row, made = _rows(context, CUT)[CUT], context.results[CUT]["result"]
    if made.get("status") == "not measured":
        return Choice(context.result(CHOOSE_STUDENT, Choice).student, made["reason"])
    if row.accuracy["val"] is None:  # no network holds the budget, or it has no file
        return Choice(CUT, str(row.reason), status="refused")
    return Choice(CUT, f"it holds the budget; but {row.reason}" if row.status == "refused" else "it holds the budget")


def run_ship(context: StepContext) -> Shipped:
    """Fix what ships: of the variants that hold every budget, the one with the lowest whole-pipeline p50 here."""
    bench, found = read_result(context.folders["bench"].files / "bench.json"), found_by(context)
    final, said = context.result(CHOOSE_FINAL, Choice), context.setting("budget")
    variants = (layout for layout in asked_rows(context.results) if layout.variant is not None)
    rows = [with_latency(val_row(layout, found), layout, bench, found) for layout in variants]
    save_rows(context.folder.files, rows)
    if final.status != "ok":
        return Shipped(None, None, None, final.reason)
    return what_ships(rows, found.gates, None if said is None else context.section("budget", Budget))


def what_ships(rows: Sequence[Row], gates: GateSection, budget: Budget | None = None) -> Shipped:
    """The variant that ships, if any does.

    A budget is of one target: what is for another does not ship. Where even the best file is beyond it, that is told.

    Args:
        rows: Of the variants, with val and latency.
        gates: Budgets.
        budget: What the device can afford.
    """
    good = [row for row in rows if row.status == "ok" and (budget is None or row.target == budget.target)]
    accepted = {row.name: row for row in good if row.latency_ms and not row.refused_for}
    if not accepted:
        unlearned = [skill_refusal(row.skill, gates.min_skill) for row in good]
        of_no_use = bool(unlearned) and all(unlearned)
        reason = f"no variant is of use, for {unlearned[0]}" if of_no_use else "no variant holds all budgets"
        return Shipped(None, None, None, reason)
    over = {name: () if budget is None else over_budget(budget, row) for name, row in accepted.items()}
    within = {name: row for name, row in accepted.items() if not over[name]}
    p50 = {name: float((row.latency_ms or {})["total"]["p50"]) for name, row in (within or accepted).items()}
    best = accepted[min(p50, key=lambda name: p50[name])]
    all_of_them = "the one variant that holds" if len(within) == 1 else f"{len(within)} variants that hold"
    held = f"of {all_of_them} all budgets" if within else "but not within the budget"
    reason = f"lowest p50 of the whole pipeline ({p50[best.name]:.2f} ms) {held}"
    return Shipped(best.name, best.variant, best.target, reason, over[best.name])


def found_by(context: StepContext) -> Found:
    """What a step can put rows together from."""
    return Found(context.results, context.folders, context.section("gates", GateSection))


def _rows(context: StepContext, *names: str) -> dict[str, Row]:
    found = found_by(context)
    rows = {name: val_row(_BY_NAME[name], found) for name in names}
    save_rows(context.folder.files, rows.values())
    return rows
