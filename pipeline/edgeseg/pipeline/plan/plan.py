"""Which steps a recipe means, and which of its settings each one depends on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from edgeseg.pipeline.chain.chain import Step
from edgeseg.pipeline.plan.layout import CHOICES, MODEL_ROWS, ROWS, TEACHER_FILES, VARIANT_ROWS, score_step
from edgeseg.pipeline.recipe.recipe import Recipe

_STEPS = "edgeseg.pipeline.steps."

RANGES_VERSION = 4  # of the step `ranges`, in a fit too
INT8_VERSION = 3  # of the steps that write INT8 files, in a fit too


def plan_steps(
    recipe: Recipe,
    *,
    command: str = "",
    images: bool = True,
    calibration_sha256: str | None = None,
    about: Mapping[str, Any] | None = None,
) -> tuple[Step, ...]:
    """The chain of a recipe, in order.

    Args:
        recipe: Checked settings.
        command: What the user typed, printed in the report.
        images: Whether the report shows test images.
        calibration_sha256: Identity of the images in `quantize.folder`, where the recipe names one.
        about: What dataset.yaml says beside classes and colour: `name pixel_mm licence may_redistribute`.
    """
    said = dict(about or {})
    scale = {"pixel_mm": said.get("pixel_mm")}
    first = [*_students(recipe, scale), *_exports(recipe, calibration_sha256), *_scores(VARIANT_ROWS, "val", scale)]
    measured = [*dict.fromkeys([*(row.file for row in ROWS), *TEACHER_FILES.values()])]
    bench = Step("bench", tuple(measured), {"bench": _section(recipe.bench)}, _STEPS + "bench:run_bench", weight=15)
    decided = (*(score_step(row, "val") for row in ROWS), *measured, *_trainings(), *CHOICES, "bench")
    gates = {"gates": _section(recipe.gates)}
    ship = Step("ship", decided, gates, _STEPS + "choose:run_ship", weight=0.1)
    tests = _scores(ROWS, "test", scale, "ship")
    everything = (*decided, "ship", *(step.name for step in tests))
    points = [step.name for step in operating_steps(recipe, ())]
    identity = {"recipe": recipe.sha256(), "data": said}
    bundle = Step("bundle", everything, gates | identity, _STEPS + "pack:run_bundle", version=2, weight=0.5)
    report = Step(
        "report",
        (*everything, *points, "ranges", "plan_files", "bundle"),
        gates | identity | {"command": command, "images": images},
        _STEPS + "report:run_report",
        version=2,
        weight=0.5,
    )
    return (*first, bench, ship, *tests, bundle, report)


def ranges_settings(recipe: Recipe, calibration_sha256: str | None) -> dict[str, Any]:
    """What of a recipe the step `ranges` depends on; a calibration folder by its images, wherever it lies."""
    quantize = _section(recipe.quantize)
    del quantize["float_paths"], quantize["folder"]
    calibration = {"seed": recipe.train.seed, "folder_sha256": calibration_sha256}
    return {"quantize": quantize, "geometry": _section(recipe.geometry)} | calibration


def operating_steps(recipe: Recipe, parents: tuple[str, ...], **settings: Any) -> tuple[Step, ...]:
    """The step that chooses the threshold on val, where the recipe asks for one.

    Args:
        recipe: Checked settings.
        parents: What it reads beside `val_teacher`.
        settings: `of`, where the network is not the student that was accepted last.
    """
    if recipe.decision.objective is None:
        return ()
    settings |= {"objective": recipe.decision.objective}
    return (Step("operating_point", (*parents, "val_teacher"), settings, _STEPS + "operate:run_operating_point"),)


def _students(recipe: Recipe, scale: Mapping[str, Any]) -> list[Step]:
    """Trainings, each followed by its export and its score on val, and the choices between them."""
    common = _section(recipe.train) | {"geometry": _section(recipe.geometry), "binary_output": recipe.binary_output}
    teacher = {"train": common, "teacher": _section(recipe.teacher)}
    student = {"train": common, "student": _section(recipe.student)}
    distilled = student | {"distill": _section(recipe.distill)}
    pruned: dict[str, Any] = {"train": common, "prune": _section(recipe.prune), "distill": _section(recipe.distill)}
    if recipe.prune.importance == "taylor":
        pruned |= {"gate_batches": recipe.fit.gate_batches}
    gates = {"gates": recipe.gates.of_choices()}
    training, deciding = _STEPS + "training:", _STEPS + "choose:"
    score = {row.name: _scores([row], "val", scale)[0] for row in MODEL_ROWS}
    scored = {row.name: (row.name, row.file, score_step(row, "val")) for row in MODEL_ROWS}
    chosen_from = (*scored["teacher"], *scored["student_alone"], *scored["student_distilled"])
    return [
        Step("teacher", (), teacher, training + "run_teacher", weight=30),
        _torch_onnx("teacher", recipe),
        score["teacher"],
        Step("student_alone", (), student, training + "run_student_alone", weight=12),
        _torch_onnx("student_alone", recipe),
        score["student_alone"],
        Step("student_distilled", ("teacher",), distilled, training + "run_student_distilled", weight=25),
        _torch_onnx("student_distilled", recipe),
        score["student_distilled"],
        Step("choose_student", chosen_from, gates, deciding + "run_choose_student", version=2, weight=0.1),
        Step(
            "student_pruned",
            ("teacher", "student_alone", "student_distilled", "choose_student"),
            pruned,
            _STEPS + "prune:run_student_pruned",
            version=2,
            weight=15,
        ),
        _torch_onnx("student_pruned", recipe),
        score["student_pruned"],
        Step(
            "choose_final",
            (*chosen_from, "choose_student", *scored["student_pruned"]),
            gates,
            deciding + "run_choose_final",
            weight=0.1,
        ),
    ]


def _exports(recipe: Recipe, calibration_sha256: str | None) -> list[Step]:
    """The shipped files of the accepted student, and the teacher's file for the other engine."""
    export = _STEPS + "export:"
    students = tuple(name for name in _trainings() if name != "teacher")
    accepted = (*students, "choose_final")
    where = {"geometry": _section(recipe.geometry)}
    planned = where | {"float_paths": list(recipe.quantize.float_paths)}
    calibration = ranges_settings(recipe, calibration_sha256)
    ranges = _STEPS + "quantize:run_ranges"
    points = operating_steps(recipe, ("choose_final", *(f"{name}_onnx" for name in students)))
    decided = (*accepted, *(step.name for step in points))
    return [
        Step("teacher_tflite", ("teacher",), where | {"of": "teacher"}, export + "run_tflite_fp32", weight=1),
        *points,
        Step("onnx_fp32", decided, where, export + "run_onnx_fp32", weight=2),
        Step("tflite_fp32", decided, where, export + "run_tflite_fp32"),
        Step("ranges", accepted, calibration, ranges, version=RANGES_VERSION, weight=2),
        Step("onnx_int8", (*decided, "onnx_fp32", "ranges"), planned, export + "run_onnx_int8", version=INT8_VERSION),
        Step(
            "tflite_int8",
            (*decided, "tflite_fp32", "ranges"),
            planned,
            export + "run_tflite_int8",
            version=INT8_VERSION,
        ),
        Step(
            "plan_files",
            (*accepted, "onnx_fp32", "tflite_fp32", "ranges", "onnx_int8", "tflite_int8"),
            planned,
            _STEPS + "plan_files:run_plan_files",
            weight=0.5,
        ),
    ]


def _torch_onnx(name: str, recipe: Recipe) -> Step:
    settings = {"geometry": _section(recipe.geometry), "of": name}
    return Step(f"{name}_onnx", (name,), settings, _STEPS + "export:run_torch_onnx", weight=0.5)


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


def _trainings() -> tuple[str, ...]:
    return tuple(row.name for row in MODEL_ROWS)


def _section(config: Any) -> dict[str, Any]:
    return dataclasses.asdict(config)
