"""Which steps a recipe means, and which of its settings each one depends on."""

from __future__ import annotations

import dataclasses
from typing import Any

from edgeseg.pipeline.chain import Step
from edgeseg.pipeline.recipe import Recipe

_TRAINING = "edgeseg.pipeline.steps.training:"


def plan_steps(recipe: Recipe) -> tuple[Step, ...]:
    """The chain of a recipe, in order."""
    return _training_steps(recipe)


def _training_steps(recipe: Recipe) -> tuple[Step, ...]:
    common = _section(recipe.train) | {"geometry": _section(recipe.geometry), "binary_output": recipe.binary_output}
    teacher = {"train": common, "teacher": _section(recipe.teacher)}
    student = {"train": common, "student": _section(recipe.student)}
    distilled = student | {"distill": _section(recipe.distill)}
    return (
        Step("teacher", (), teacher, _TRAINING + "run_teacher", weight=30),
        Step("student_alone", (), student, _TRAINING + "run_student_alone", weight=12),
        Step("student_distilled", ("teacher",), distilled, _TRAINING + "run_student_distilled", weight=25),
    )


def _section(config: Any) -> dict[str, Any]:
    return dataclasses.asdict(config)
