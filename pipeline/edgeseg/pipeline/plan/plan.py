"""Which steps a recipe means, and which of its settings each one depends on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from edgeseg.pipeline.chain.chain import Step
from edgeseg.pipeline.plan.beside import Here, OwnFiles
from edgeseg.pipeline.plan.exports import exports, operating_steps, ranges_places
from edgeseg.pipeline.plan.layout import (
    CHOICES,
    CUT,
    MODEL_ROWS,
    RANGES,
    REFERENCE_FILES,
    TRAINING_VERSION,
    asked_rows,
    score_step,
    trainings,
)
from edgeseg.pipeline.plan.qat_steps import trained_for
from edgeseg.pipeline.plan.search_parts import search_parts
from edgeseg.pipeline.plan.variants import REFERENCE
from edgeseg.pipeline.recipe.recipe import Recipe
from edgeseg.pipeline.recipe.sections.fit import STUDENTS
from edgeseg.pipeline.recipe.sections.student import StudentSection
from edgeseg.pipeline.recipe.start import FILE, StartSection, student_place, student_start, teacher_start

_NO_FILES, _UNTIMED = OwnFiles(), Here()
_STEPS = "edgeseg.pipeline.steps."
_EXPORT = _STEPS + "export:"

_CUT_FROM = ("teacher", "student_alone", "student_distilled", "val_teacher", "choose_student")


def plan_steps(
    recipe: Recipe,
    *,
    command: str = "",
    images: bool = True,
    own: OwnFiles = _NO_FILES,
    about: Mapping[str, Any] | None = None,
    here: Here = _UNTIMED,
) -> tuple[Step, ...]:
    """The chain of a recipe, in order.

    Args:
        recipe: Checked settings.
        command: What the user typed, printed in the report.
        images: Whether the report shows test images.
        own: What it reads beside the data set.
        about: What dataset.yaml says beside classes and colour: `name pixel_mm licence may_redistribute`.
        here: This machine.
    """
    said = dict(about or {})
    scale = {"pixel_mm": said.get("pixel_mm")}
    searched = _search(recipe, own, here)
    rows = asked_rows(recipe.export.also)
    variants = tuple(row for row in rows if row.variant is not None)
    files = [*exports(recipe, own.calibration_sha256), *_scores(variants, "val", scale)]
    first = [_reference(recipe), *_students(recipe, scale, searched, own), *files]
    exported = [*dict.fromkeys([*(row.file for row in rows), *REFERENCE_FILES.values()])]
    measured = [name for name in exported if name not in {row.file for row in rows if row.not_timed}]
    bench = _bench(recipe, tuple(measured), here)
    decided = (*(score_step(row, "val") for row in rows), *exported, *trainings(), *CHOICES, "bench")
    gates = recipe.sections("gates")
    ship = Step("ship", decided, gates | recipe.sections("budget"), _STEPS + "choose:run_ship", version=4, weight=0.1)
    tests = _scores(rows, "test", scale, "ship")
    everything = (*decided, "ship", *(step.name for step in tests))
    points = [step.name for step in operating_steps(recipe, ())]
    packed = {"recipe": dataclasses.asdict(recipe.identity), "seed": recipe.data.seed, "data": said}
    told = {"recipe": recipe.to_json(), "sha256": recipe.sha256(), "data": said, "command": command, "images": images}
    bundle = Step("bundle", everything, packed, _STEPS + "pack:run_bundle", version=2, weight=0.5)
    report = Step(
        "report",
        (*everything, *points, REFERENCE, RANGES, *trained_for(recipe), "bundle"),
        gates | told,
        _STEPS + "report:run_report",
        version=5,
        weight=0.5,
    )
    return (*first, bench, ship, *tests, bundle, report)


def training_settings(recipe: Recipe) -> dict[str, Any]:
    """What of a recipe every training depends on."""
    return recipe.sections("train", "geometry", "binary_output")


def _search(recipe: Recipe, own: OwnFiles, here: Here) -> tuple[Step, ...]:
    """The step that makes sure of the target before anything is trained, and the one that cuts the student to it."""
    search = "edgeseg.pipeline.search.step:"
    if recipe.budget is None:
        reason = "the recipe has no budget, such as {target: x86-ort, macs_ratio: 0.65}, so nothing is cut"
        return (Step(CUT, _CUT_FROM, {}, search + "run_student_pruned", left_out=reason),)
    places = ranges_places(recipe) | {"layer_times": here.layer_times, "on": here.place}
    known = {"folder_sha256": own.calibration_sha256, "machine": here.machine}
    keyed = dataclasses.replace(recipe, student=_by_content(recipe.student))
    asked, searched = (known | {"recipe": one.to_json()} for one in (keyed.of_target(), keyed.of_search()))
    weight = sum(search_parts(recipe).values())
    start = _start_of(recipe.student) if "thin_pretrained" in recipe.fit.baselines else None
    searched |= own.taught_from | _start(start)
    compared = (REFERENCE,) if recipe.budget.speedup is not None else ()
    before = (*_CUT_FROM, *compared, "target")
    begun = places | _places(recipe.student)
    cut = Step(CUT, before, searched, search + "run_student_pruned", 5, weight=weight, places=begun)
    return (Step("target", compared, asked, search + "run_target", 2, weight=0.2, places=places), cut)


def _bench(recipe: Recipe, measured: tuple[str, ...], here: Here) -> Step:
    """The step that measures what might ship: all of it here, or the budget's engine on the budget's machine."""
    settings, places = recipe.sections("bench"), {}
    if here.measures_ships and recipe.budget is not None:
        settings |= {"machine": here.machine, "target": recipe.budget.target}
        places = {"on": here.place}
    return Step("bench", measured, settings, _STEPS + "bench:run_bench", weight=15, places=places)


def _reference(recipe: Recipe) -> Step:
    settings = recipe.sections("reference", "geometry", "binary_output")
    return Step(REFERENCE, (), settings, _STEPS + "reference:run_reference", weight=0.2)


def _students(recipe: Recipe, scale: Mapping[str, Any], searched: tuple[Step, ...], own: OwnFiles) -> list[Step]:
    """Trainings, each followed by its export and its score on val, and the choices between them.

    Args:
        recipe: Checked settings.
        scale: Of the scores.
        searched: From `_search`; its last step cuts the student.
        own: What the recipe reads beside the data set.
    """
    training = training_settings(recipe)
    teacher = training | recipe.sections("teacher") | _start(teacher_start(recipe.teacher.encoder))
    student = training | _student(recipe.student)
    distilled = student | recipe.sections("distill") | own.taught_from
    named = recipe.fit.student
    left_out = {name: f"fit.student names {named}" for name in STUDENTS if named not in (None, name)}
    gates = {"gates": dataclasses.asdict(recipe.gates.of_choices())}
    given = recipe.distill.teacher is not None
    row_teaches = not (given or recipe.teacher.seeds > 1 or recipe.distill.flips)
    trains, deciding = _STEPS + "training:", _STEPS + "choose:"
    score = {row.name: _scores([row], "val", scale)[0] for row in MODEL_ROWS}
    scored = {row.name: (row.name, row.file, score_step(row, "val")) for row in MODEL_ROWS}
    chosen_from = (*scored["teacher"], *scored["student_alone"], *scored["student_distilled"])
    seeds, places = recipe.student.seeds, _places(recipe.student)
    alone = Step(
        "student_alone", (), student, trains + "run_student_alone", TRAINING_VERSION, weight=12 * seeds, places=places
    )
    trained = trains + "run_student_distilled"
    taught = Step(
        "student_distilled", ("teacher",), distilled, trained, TRAINING_VERSION, weight=25 * seeds, places=places
    )
    return [
        *searched[:-1],
        Step("teacher", (), teacher, trains + "run_teacher", TRAINING_VERSION, weight=30),
        _torch_onnx("teacher", recipe),
        score["teacher"],
        dataclasses.replace(alone, left_out=left_out.get(alone.name)),
        _torch_onnx("student_alone", recipe),
        score["student_alone"],
        dataclasses.replace(taught, left_out=left_out.get(taught.name)),
        _torch_onnx("student_distilled", recipe),
        score["student_distilled"],
        Step(
            "choose_student",
            chosen_from,
            gates | {"named": named, "row_teaches": row_teaches},
            deciding + "run_choose_student",
            version=6,
            weight=0.1,
        ),
        searched[-1],
        _torch_onnx("student_pruned", recipe),
        score["student_pruned"],
        Step(
            "choose_final",
            (*chosen_from, "choose_student", *scored["student_pruned"]),
            gates,
            deciding + "run_choose_final",
            version=5,
            weight=0.1,
        ),
    ]


def _student(section: StudentSection) -> dict[str, Any]:
    """What the student's trainings are told of it; of a file to start from the content instead of the place."""
    return {"student": dataclasses.asdict(_by_content(section))} | _start(_start_of(section))


def _by_content(section: StudentSection) -> StudentSection:
    return dataclasses.replace(section, init=FILE) if _places(section) else section


def _start_of(section: StudentSection) -> StartSection | None:
    return student_start(section.init, section.width, section.depth)


def _start(start: StartSection | None) -> dict[str, Any]:
    return {"start": None if start is None else dataclasses.asdict(start)}


def _places(section: StudentSection) -> dict[str, str]:
    """Where the student's file to start from lies, if the recipe names one."""
    place = student_place(section.init)
    return {} if place is None else {"start": place}


def _torch_onnx(name: str, recipe: Recipe) -> Step:
    settings = recipe.sections("geometry") | {"of": name, "format": "onnx"}
    return Step(f"{name}_onnx", (name,), settings, _EXPORT + "run_float", weight=0.5)


def _scores(rows: Any, split: str, scale: Mapping[str, Any], *after: str) -> list[Step]:
    """One scoring step a row; `after` are steps that must be whole before, such as `ship` before test is looked at."""
    return [
        Step(
            score_step(row, split),
            (row.file, *after),
            {"file": row.file, "split": split, **scale},
            _STEPS + "score:run_score",
            weight=0.5,
        )
        for row in rows
    ]
