"""What a search starts from: the chain's student that is cut, whose answers it follows, and what it is held against."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeseg.compress.distill.answering import answering
from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.pipeline.plan.layout import CHOOSE_STUDENT, REFERENCE
from edgeseg.pipeline.plan.results import Choice
from edgeseg.pipeline.reader import read_config
from edgeseg.pipeline.recipe.recipe import Recipe
from edgeseg.runtime.data.dataset import DataSet
from edgeseg.train.checkpoint import load_checkpoint
from edgeseg.train.models import SegmentationNet


@dataclass(frozen=True)
class Networks:
    """The networks, trained by earlier steps.

    Attributes:
        student: Is cut.
        answers: What fine-tuning follows: the teacher, all its networks, or the student where it has become better.
        reference: What a speed-up refers to; None where the budget asks for none.
        name: Step of the student.
        teaches: Step of `answers`, or `distill.teacher` for what that names.
        checkpoint: Folder of the student.
    """

    student: SegmentationNet
    answers: SegmentationNet
    reference: SegmentationNet | None
    name: str
    teaches: str
    checkpoint: Path

    @classmethod
    def load(cls, context: StepContext, data: DataSet) -> Networks:
        """As the step `choose_student` says; what the recipe names as teacher is always followed."""
        chosen = context.result(CHOOSE_STUDENT, Choice)
        name, teaches = chosen.student, str(chosen.teaches)
        student = load_checkpoint(context.folders[name].files)[0]
        file = recipe_of(context).distill.teacher
        sha256 = context.setting("taught_from")["teacher_sha256"]
        answers = answering(context.folders[teaches].files, data, student, file, sha256)
        teaches = teaches if file is None else "distill.teacher"
        return cls(student, answers, reference_of(context), name, teaches, context.folders[name].files)

    @property
    def taught(self) -> bool:
        """Whether the student was distilled, as the thin students then are too."""
        return self.name == "student_distilled"


def reference_of(context: StepContext) -> SegmentationNet | None:
    """What a budget in `speedup` refers to; of another budget the step does not depend on it."""
    return load_checkpoint(context.folders[REFERENCE].files)[0] if REFERENCE in context.results else None


def recipe_of(context: StepContext) -> Recipe:
    """What of the recipe a search reads; a recipe without a previous bundle does not name that key."""
    asked = {"previous_bundle": None} | context.setting("recipe")
    return read_config(Recipe, asked, f"{context.step.name}: recipe", whole=True)
