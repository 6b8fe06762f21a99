"""The steps that write files: of the accepted student in every variant, and of the reference beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from edgeseg.pipeline.chain.chain import Step
from edgeseg.pipeline.plan.layout import RANGES, trainings
from edgeseg.pipeline.plan.qat_steps import qat_steps, trained_for
from edgeseg.pipeline.plan.variants import REFERENCE, VARIANTS, VariantPlan, reference_step
from edgeseg.pipeline.recipe.recipe import Recipe
from edgeseg.pipeline.recipe.sections.export import RangesSection
from edgeseg.runtime.engines import missing

_STEPS = "edgeseg.pipeline.steps."
_EXPORT = _STEPS + "export:"

RANGES_VERSION = 4  # of the step `ranges`, in a search too
FLOAT_VERSION = 2  # of the steps that write the shipped float files
INT8_VERSION = 7  # of the steps that write INT8 files, in a search too

EXTREMES = "extremes"  # step of the ranges that cut nothing off


def ranges_settings(recipe: Recipe, calibration_sha256: str | None) -> dict[str, Any]:
    """What of a recipe the step `ranges` depends on; a calibration folder by its images, wherever it lies."""
    calibration = {"seed": recipe.train.seed, "folder_sha256": calibration_sha256}
    return {"quantize": dataclasses.asdict(recipe.quantize.of_ranges())} | recipe.sections("geometry") | calibration


def ranges_places(recipe: Recipe) -> dict[str, str]:
    """Where the calibration images of the step `ranges` lie, if the recipe names a folder."""
    return {} if recipe.quantize.folder is None else {"calibration": recipe.quantize.folder}


def operating_steps(recipe: Recipe, parents: tuple[str, ...], **settings: Any) -> tuple[Step, ...]:
    """The step that chooses the threshold on val, where the recipe asks for one.

    Args:
        recipe: Checked settings.
        parents: What it reads beside `val_teacher`.
        settings: `of`, where the network is not the student that was accepted last.
    """
    if recipe.decision.objective is None:
        return ()
    settings |= {"objective": recipe.decision.objective, "recall_drop": recipe.gates.max_region_recall_drop or 0.0}
    return (Step("operating_point", (*parents, "val_teacher"), settings, _STEPS + "operate:run_operating_point"),)


def exports(recipe: Recipe, calibration_sha256: str | None) -> list[Step]:
    """The files of the accepted student, and the reference's in each engine."""
    students = tuple(name for name in trainings() if name != "teacher")
    accepted = (*students, "choose_final")
    where = recipe.sections("geometry")
    calibration, places = ranges_settings(recipe, calibration_sha256), ranges_places(recipe)
    ranges = _STEPS + "quantize:run_ranges"
    points = operating_steps(recipe, ("choose_final", *(f"{name}_onnx" for name in students)))
    decided = (*accepted, *(step.name for step in points))
    asked = [one for one in VARIANTS if not one.optional or one.name in recipe.export.also]
    floats = [one for one in asked if one.precision == "fp32"]
    lower = [one for one in asked if one.precision != "fp32"]
    # What is not INT8 is made of the network as it was trained, and of ranges that cut nothing off.
    uncut = calibration | {"quantize": dataclasses.asdict(RangesSection(recipe.quantize.images))}
    collected = {RANGES: calibration} | ({EXTREMES: uncut} if any(one.optional for one in lower) else {})
    return [
        *(_compared(one, recipe) for one in floats),
        *points,
        *(_float(one, decided, where) for one in floats),
        *(
            Step(name, accepted, its, ranges, RANGES_VERSION, weight=2, places=places)
            for name, its in collected.items()
        ),
        *qat_steps(recipe, decided),
        *(_lower(one, decided, recipe) for one in lower),
    ]


def _compared(variant: VariantPlan, recipe: Recipe) -> Step:
    """The reference's file for a target."""
    name, where = reference_step(variant.step), recipe.sections("geometry") | {"of": REFERENCE}
    if variant.same_as:
        return _same(variant, name, (REFERENCE,), reference_step(variant.same_as), where)
    return Step(name, (REFERENCE,), where | {"format": variant.format}, _EXPORT + "run_float", weight=1)


def _float(variant: VariantPlan, decided: tuple[str, ...], where: Mapping[str, Any]) -> Step:
    if variant.same_as:
        return _same(variant, variant.step, decided, variant.same_as, where)
    settings = {**where, "format": variant.format, "free": True}
    return Step(variant.step, decided, settings, _EXPORT + "run_float", version=FLOAT_VERSION, weight=2)


def _lower(variant: VariantPlan, decided: tuple[str, ...], recipe: Recipe) -> Step:
    """A file of less than FP32."""
    settings = recipe.sections("geometry") | {"float_paths": list(recipe.quantize.float_paths)}
    if variant.precision == "int8":
        decided, ranges = (*decided, *trained_for(recipe)), RANGES
    else:
        ranges = EXTREMES
    if variant.same_as:
        return _same(variant, variant.step, decided, variant.same_as, settings)
    settings |= {"format": variant.format, "source": variant.parent}
    if variant.precision != "int8":
        settings |= {"precision": variant.precision, "ranges": ranges}
    if variant.precision == "fp16":  # which is floating point
        settings["float_paths"] = []
    parents = (*decided, variant.parent, ranges)
    return Step(variant.step, parents, settings, _EXPORT + "run_quantised", version=INT8_VERSION)


def _same(variant: VariantPlan, name: str, before: tuple[str, ...], file: str, where: Mapping[str, Any]) -> Step:
    """Another step's file in this variant's engine; made anew once an engine that was missing is there."""
    engine = variant.engine.name
    settings = {**where, "file": file, "engine": engine, "missing": missing(engine)}
    return Step(name, (*before, file), settings, _EXPORT + "run_same_file", weight=0.5)
