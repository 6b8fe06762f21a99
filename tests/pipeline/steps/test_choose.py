"""Which student goes on, decided on val from stored scores alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.compress.search.budget import Budget
from edgeseg.pipeline.chain.chain import Step, StepContext
from edgeseg.pipeline.chain.store import StepFolder
from edgeseg.pipeline.learned.findings import skill_refusal
from edgeseg.pipeline.plan.layout import CUT, MODEL_ROWS, ROWS, score_step
from edgeseg.pipeline.plan.results import Choice
from edgeseg.pipeline.plan.row import Row, load_rows
from edgeseg.pipeline.plan.rows import Found, parent_name, val_row
from edgeseg.pipeline.recipe.sections.gates import GateSection
from edgeseg.pipeline.steps.choose import run_choose_final, run_choose_student, what_ships
from edgeseg.runtime.score.evaluate import save_scores
from edgeseg.runtime.score.image_score import score_image
from edgeseg.runtime.score.metrics import summarize

from ..stored_scores import CLASSES, store_scores


def _context(
    root: Path, missed_rows: dict[str, int], named: str | None = None, row_teaches: bool = True
) -> StepContext:
    gates = GateSection(max_dice_drop=0.05, max_total_dice_drop=0.05).of_choices()
    results: dict[str, dict[str, Any]] = {}
    for row in MODEL_ROWS:
        if row.name in missed_rows:
            results[score_step(row, "val")] = store_scores(
                StepFolder(root / score_step(row, "val")), missed_rows[row.name]
            )
            results[row.file] = {"result": {"status": "ok", "reason": None}}
    (root / "choose_student" / "files").mkdir(parents=True)
    return StepContext(
        step=Step(
            "choose_student",
            (),
            {"gates": dataclasses.asdict(gates), "named": named, "row_teaches": row_teaches},
            "",
        ),
        data_root=root,
        split_file=root / "split.json",
        folder=StepFolder(root / "choose_student"),
        results=results,
        folders={score_step(row, "val"): StepFolder(root / score_step(row, "val")) for row in MODEL_ROWS},
        progress=lambda share, words: None,
    )


@pytest.mark.parametrize(
    ("missed_rows", "student", "teaches", "reason"),
    [
        (
            {"teacher": 0, "student_alone": 2, "student_distilled": 1},
            "student_distilled",
            "teacher",
            "shown to be better",
        ),
        ({"teacher": 2, "student_alone": 0, "student_distilled": 1}, "student_alone", "student_alone", "not used"),
        ({"teacher": 1, "student_alone": 1, "student_distilled": 1}, "student_distilled", "teacher", "not shown"),
        ({"teacher": 20, "student_alone": 20, "student_distilled": 20}, "student_distilled", "teacher", "not shown"),
        ({"teacher": 0, "student_alone": 9, "student_distilled": 8}, "student_distilled", "teacher", "max_dice_drop"),
        ({"teacher": 3, "student_alone": 2, "student_distilled": 1}, "student_distilled", "student_distilled", "used"),
    ],
    ids=[
        "distillation pays",
        "baseline is shown to be better",
        "a tie goes to the method",
        "all have nothing",
        "both too far below",
        "student above teacher",
    ],
)
def test_the_student_that_goes_on(
    tmp_path: Path, missed_rows: dict[str, int], student: str, teaches: str, reason: str
) -> None:
    context = _context(tmp_path, missed_rows)
    chosen = run_choose_student(context)
    rows = load_rows(context.folder.files)
    assert {row.name: row.accuracy["val"] for row in rows} == {
        name: context.results[f"val_{name}"]["result"]["summary"] for name in missed_rows
    }
    assert (chosen.student, chosen.teaches) == (student, teaches)
    assert reason in chosen.reason


def test_a_student_better_than_the_first_of_its_teachers_is_not_shown_to_be_better_than_all(tmp_path: Path) -> None:
    """It would take the place of an ensemble, whose answer is better than that of the row it is compared with."""
    missed_rows = {"teacher": 3, "student_alone": 2, "student_distilled": 1}
    chosen = run_choose_student(_context(tmp_path, missed_rows, row_teaches=False))
    assert (chosen.student, chosen.teaches) == ("student_distilled", "teacher")


def test_a_little_below_its_baseline_is_no_reason_to_refuse_distillation(tmp_path: Path) -> None:
    """On the images as they are it is worse, as a coin would have it; which images they are decides that."""
    context = _context(tmp_path, {"teacher": 0, "student_alone": 1, "student_distilled": 1})
    folder = context.folders["val_student_distilled"].files
    truth = np.zeros((32, 32), np.uint8)
    truth[4:24, 4:24] = 1
    scores = []
    for index, missed in enumerate((0, 0, 6, 8)):  # the baseline misses 1, 2, 3 and 4 rows
        pred = truth.copy()
        pred[: 4 + missed] = 0
        scores.append(score_image(pred, truth, 2, stem=f"part_{index}", group=f"part_{index}"))
    save_scores(folder / "scores.json", scores)
    context.results["val_student_distilled"]["result"]["summary"] = summarize(scores, CLASSES)
    chosen = run_choose_student(context)
    row = next(row for row in load_rows(context.folder.files) if row.name == "student_distilled")
    drop = (row.dice_drop_vs_baseline or {})["val"]
    assert drop is not None and drop["lo95"] < 0 < drop["mean"]
    assert chosen.student == row.name and row.status == "ok" and "below student_alone on val" in chosen.reason
    assert "one training of each decides little (student.seeds)" in chosen.reason


@pytest.mark.parametrize("student", ["student_alone", "student_distilled"])
def test_a_row_hangs_from_the_student_that_went_on(student: str) -> None:
    records = {name: {"result": {"student": student, "reason": ""}} for name in ("choose_student", "choose_final")}
    parents = {row.name: parent_name(row, records) for row in ROWS}
    assert parents["student_pruned"] == parents["onnx_fp32"] == parents["tflite_fp32"] == student
    assert parents["teacher"] is None and parents["student_distilled"] == "teacher"
    assert parents["onnx_int8"] == "onnx_fp32"


# What ships


def _variant(name: str, p50_ms: float, skill: float, **fields: Any) -> Row:
    of_it = {"value": skill, "dice": 0.05, "trivial_dice": 0.04, "trivial": "pit"}
    refusal = skill_refusal(of_it, 0.1)
    row = Row(
        **{"name": name, "parent": None, "kind": "variant", "variant": name, "target": "x86-ort", "status": "ok"},
        skill=of_it,
        latency_ms={"total": {"p50": p50_ms}},
        refused_for={"x86-ort": refusal} if refusal else {},
    )
    return dataclasses.replace(row, **fields)


def test_the_fastest_that_has_learned_something_ships() -> None:
    rows = [_variant("a", 3.0, 0.5), _variant("b", 1.0, 0.01), _variant("c", 2.0, 0.4)]
    shipped = what_ships(rows, GateSection())
    assert shipped.step == "c" and "of 2 variants that hold all budgets" in shipped.reason


def test_where_nothing_has_learned_anything_nothing_holds_all_budgets() -> None:
    rows = [_variant("a", 3.0, 0.01), _variant("b", 1.0, -0.1), _variant("c", 1.0, 0.9, status="refused")]
    shipped = what_ships(rows, GateSection())
    assert shipped.step is None
    assert "no variant is of use, for it has learned nothing: val Dice 0.050" in shipped.reason
    mixed = [*rows, _variant("d", 1.0, 0.9, refused_for={"x86-ort": "too slow"})]
    assert what_ships(mixed, GateSection()).reason == "no variant holds all budgets"


def test_a_budget_is_of_one_target_and_held_against_each_file() -> None:
    budget = Budget("x86-ort", latency_ms=2.5, bytes=1000)
    rows = [_variant("a", 2.4, 0.5, bytes=900), _variant("b", 1.0, 0.5, bytes=1100)]
    rows += [_variant("c", 0.5, 0.5, bytes=900, target="x86-litert")]
    shipped = what_ships(rows, GateSection(), budget)
    assert shipped.step == "a" and shipped.over_budget == () and "of the one variant that holds" in shipped.reason
    beyond = what_ships(rows[1:], GateSection(), budget)
    assert beyond.step == "b" and beyond.over_budget == ("bytes is 1100, the budget allows 1000",)
    assert "but not within the budget" in beyond.reason
    assert what_ships(rows[2:], GateSection(), budget).step is None


# The network that was cut to the budget


def test_a_student_that_the_recipe_names_goes_on(tmp_path: Path) -> None:
    context = _context(tmp_path, {"teacher": 0, "student_alone": 1, "student_distilled": 9}, "student_distilled")
    chosen = run_choose_student(context)
    assert (chosen.student, chosen.teaches, chosen.reason) == (
        "student_distilled",
        "teacher",
        "fit.student names it",
    )


def test_without_a_budget_the_student_goes_on(tmp_path: Path) -> None:
    context = _final(tmp_path, {"status": "not measured", "reason": "no budget"}, None)
    assert run_choose_final(context) == Choice("student_alone", "no budget")


def test_where_no_network_holds_the_budget_nothing_goes_on(tmp_path: Path) -> None:
    context = _final(tmp_path, {"status": "refused", "reason": "No network holds it."}, None)
    assert run_choose_final(context) == Choice(CUT, "No network holds it.", status="refused")
    (row,) = load_rows(context.folder.files)
    assert (row.status, row.reason) == ("refused", "No network holds it.")


def test_what_holds_the_budget_goes_on_however_far_below_the_step_before(tmp_path: Path) -> None:
    """What a step may cost, 5 points here, is no word on a cut that the device has asked for; the total is."""
    context = _final(tmp_path, {"status": "ok"}, 3)
    layout = next(row for row in ROWS if row.name == CUT)
    within, total = (
        val_row(layout, Found(context.results, context.folders, GateSection(0.05, most))) for most in (None, 0.03)
    )
    assert within.status == "ok" and (within.dice_drop_vs_parent or {})["val"]["mean"] > 0.05  # type: ignore[index]
    assert total.status == "refused" and "gates.max_total_dice_drop" in str(total.reason)
    chosen = run_choose_final(context)
    assert chosen.student == CUT and chosen.status == "ok" and "it holds the budget; but val Dice" in chosen.reason


def _final(root: Path, made: dict[str, Any], missed_rows: int | None) -> StepContext:
    """What `choose_final` is handed, after a search that came to `made`."""
    known = {"teacher": 0, "student_alone": 0} | ({} if missed_rows is None else {CUT: missed_rows})
    context = _context(root, known)
    context.results |= {CUT: {"result": made}, "choose_student": {"result": {"student": "student_alone", "reason": ""}}}
    if missed_rows is None:
        none = {"status": "not measured", "reason": "it is refused"}
        context.results |= {f"val_{CUT}": {"result": none | {"summary": None}}, f"{CUT}_onnx": {"result": none}}
    return context


@pytest.mark.parametrize(("missed_rows", "refused"), [(0, False), (4, False), (20, True)])
def test_a_variant_s_row_tells_its_skill_from_its_scores(missed_rows: int, refused: bool, tmp_path: Path) -> None:
    context = _context(tmp_path, {"teacher": 0, "student_alone": 0})
    layout = next(row for row in ROWS if row.name == "onnx_fp32")
    for row in (layout, ROWS[0]):
        context.folders[score_step(row, "val")] = StepFolder(tmp_path / score_step(row, "val"))
    context.results[score_step(layout, "val")] = store_scores(
        StepFolder(tmp_path / score_step(layout, "val")), missed_rows
    )
    context.results[layout.file] = {"result": {"status": "ok", "reason": None}}
    context.results["choose_final"] = {"result": {"student": "student_alone", "reason": ""}}
    gates = GateSection(max_dice_drop=None, max_total_dice_drop=None)
    row = val_row(layout, Found(context.results, context.folders, gates))
    assert row.status == "ok" and bool(row.refused_for) is refused
    assert row.skill is not None and row.skill["dice"] == pytest.approx(row.val_dice())
    off = dataclasses.replace(gates, min_skill=None)
    assert val_row(layout, Found(context.results, context.folders, off)).refused_for == {}


def test_a_val_without_foreground_is_refused_not_a_traceback(tmp_path: Path) -> None:
    context = _context(tmp_path, {})
    for row in MODEL_ROWS:
        folder = StepFolder(tmp_path / score_step(row, "val"))
        (folder.files / "masks").mkdir(parents=True)
        empty = np.zeros((8, 8), np.uint8)
        cv2.imwrite(str(folder.files / "masks" / "a.png"), empty)
        scores = [score_image(empty, empty, 2, stem="a")]
        save_scores(folder.files / "scores.json", scores)
        result = {"status": "ok", "reason": None, "summary": summarize(scores, CLASSES)}
        context.results[score_step(row, "val")] = {"result": result}
        context.results[row.file] = {"result": {"status": "ok", "reason": None}}
    assert run_choose_student(context).student in ("student_alone", "student_distilled")
    row = val_row(ROWS[1], Found(context.results, context.folders, GateSection()))
    assert row.dice_drop_vs_teacher == {"val": None}
    assert "nothing shows that it has learned anything" in str(skill_refusal(row.skill, 0.1))
