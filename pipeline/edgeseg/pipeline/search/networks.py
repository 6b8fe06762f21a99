"""What a search starts from: the chain's student that is cut, whose answers it follows, and what it is held against."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeseg.compress.distill.answering import answering
from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.pipeline.plan.layout import CHOOSE_STUDENT
from edgeseg.pipeline.plan.results import Choice
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
        teacher: What a speed-up refers to; of several networks the first.
        name: Step of the student.
        teaches: Step of `answers`, or `distill.teacher` for a file.
        checkpoint: Folder of the student.
    """

    student: SegmentationNet
    answers: SegmentationNet
    teacher: SegmentationNet
    name: str
    teaches: str
    checkpoint: Path

    @classmethod
    def load(cls, context: StepContext, data: DataSet) -> Networks:
        """As the step `choose_student` says; a file that the recipe names as teacher is always followed."""
        chosen = context.result(CHOOSE_STUDENT, Choice)
        name, teaches = chosen.student, str(chosen.teaches)
        folders = {one: context.folders[one].files for one in (name, teaches, "teacher")}
        student, teacher = (load_checkpoint(folders[one])[0] for one in (name, "teacher"))
        file = context.section("recipe", Recipe).distill.teacher
        answers = answering(folders[teaches], data, student, file, context.setting("taught_from")["teacher_sha256"])
        return cls(student, answers, teacher, name, teaches if file is None else "distill.teacher", folders[name])

    @property
    def taught(self) -> bool:
        """Whether the student was distilled, as baselines from scratch then are too."""
        return self.name == "student_distilled"
