"""What a search starts from: the chain's student that is cut, whose answers it follows, and what it is held against."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.train.checkpoint import load_checkpoint
from edgeseg.train.models import SegmentationNet


@dataclass(frozen=True)
class Networks:
    """The networks, trained by earlier steps.

    Attributes:
        student: Is cut.
        answers: What fine-tuning follows: the teacher, or the student where it has become better.
        teacher: What a speed-up refers to.
        name: Step of the student.
        teaches: Step of `answers`.
        checkpoint: Folder of the student.
    """

    student: SegmentationNet
    answers: SegmentationNet
    teacher: SegmentationNet
    name: str
    teaches: str
    checkpoint: Path

    @classmethod
    def load(cls, context: StepContext) -> Networks:
        """As the step `choose_student` says."""
        chosen = context.results["choose_student"]["result"]
        folders = {name: context.folders[name].files for name in (chosen["student"], chosen["teaches"], "teacher")}
        models = {name: load_checkpoint(folder)[0] for name, folder in folders.items()}
        name, teaches = chosen["student"], chosen["teaches"]
        return cls(models[name], models[teaches], models["teacher"], name, teaches, folders[name])

    @property
    def taught(self) -> bool:
        """Whether the student was distilled, as baselines from scratch then are too."""
        return self.name == "student_distilled"
