"""What a search starts from: the chain's student that is cut, whose answers it follows, and what it is held against."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.pipeline.plan.layout import CHOOSE_STUDENT, REFERENCE
from edgeseg.pipeline.plan.results import Choice
from edgeseg.train.checkpoint import load_checkpoint
from edgeseg.train.models import SegmentationNet


@dataclass(frozen=True)
class Networks:
    """The networks, trained by earlier steps.

    Attributes:
        student: Is cut.
        answers: What fine-tuning follows: the teacher, or the student where it has become better.
        reference: What a speed-up refers to; None where the budget asks for none.
        name: Step of the student.
        teaches: Step of `answers`.
        checkpoint: Folder of the student.
    """

    student: SegmentationNet
    answers: SegmentationNet
    reference: SegmentationNet | None
    name: str
    teaches: str
    checkpoint: Path

    @classmethod
    def load(cls, context: StepContext) -> Networks:
        """As the step `choose_student` says."""
        chosen = context.result(CHOOSE_STUDENT, Choice)
        name, teaches = chosen.student, str(chosen.teaches)
        folders = {one: context.folders[one].files for one in (name, teaches)}
        models = {one: load_checkpoint(folder)[0] for one, folder in folders.items()}
        return cls(models[name], models[teaches], reference_of(context), name, teaches, folders[name])

    @property
    def taught(self) -> bool:
        """Whether the student was distilled, as baselines from scratch then are too."""
        return self.name == "student_distilled"


def reference_of(context: StepContext) -> SegmentationNet | None:
    """What a budget in `speedup` refers to; of another budget the step does not depend on it."""
    return load_checkpoint(context.folders[REFERENCE].files)[0] if REFERENCE in context.results else None
