"""The step that trains the accepted network as its INT8 file rounds it, where the recipe asks for it."""

from __future__ import annotations

import dataclasses

from edgeseg.pipeline.chain.chain import Step
from edgeseg.pipeline.plan.beside import OwnFiles
from edgeseg.pipeline.plan.layout import QAT, RANGES, TRAINING_VERSION
from edgeseg.pipeline.plan.variants import shipped_as
from edgeseg.pipeline.recipe.recipe import Recipe


def trained_for(recipe: Recipe) -> tuple[str, ...]:
    """Its name, as a parent of what depends on it; nothing where it is not asked for."""
    return () if recipe.quantize.qat is None else (QAT,)


def qat_steps(recipe: Recipe, decided: tuple[str, ...]) -> tuple[Step, ...]:
    """The step, or none.

    It trains in float32, whatever other trainings use: bfloat16 is as coarse as the integers. And it is short: every
    epoch is looked at, and none is cut off.

    Args:
        recipe: Checked settings.
        decided: Steps by which the accepted network is known, and its threshold.
    """
    qat = recipe.quantize.qat
    if qat is None:
        return ()
    sections = recipe.sections("geometry", "train")
    sections["train"] |= {"precision": "float32", "validate_every": 1, "patience": 0}
    settings = sections | {
        "qat": dataclasses.asdict(qat),
        "distill": dataclasses.asdict(recipe.distill.of_itself()),
        **OwnFiles().taught_from,
        "float_paths": list(recipe.quantize.float_paths),
    }
    parents = (*decided, shipped_as(qat.target, "int8").parent, RANGES)
    run = "edgeseg.pipeline.steps.qat:run_student_qat"
    return (Step(QAT, parents, settings, run, TRAINING_VERSION, weight=1.5 * qat.epochs),)
