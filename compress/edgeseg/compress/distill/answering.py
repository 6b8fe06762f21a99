"""What a student follows: the networks of a step, or what a recipe names instead, a file or a function."""

from __future__ import annotations

from pathlib import Path

from edgeseg.compress.distill.given.function_teacher import FunctionTeacher
from edgeseg.compress.distill.given.named_file import teacher_file
from edgeseg.compress.distill.given.named_function import TeacherFunction
from edgeseg.compress.distill.given.onnx_teacher import OnnxTeacher
from edgeseg.compress.distill.members import load_teacher
from edgeseg.runtime.data.dataset import DataSet
from edgeseg.train.models import SegmentationNet


def answering(
    folder: Path, data: DataSet, student: SegmentationNet, given: str | None, sha256: str | None
) -> SegmentationNet:
    """Open the teacher.

    Args:
        folder: Checkpoint of the networks that teach where nothing is given.
        data: The run's data set, at which a relative path starts.
        student: For what must be asked and answered.
        given: `distill.teacher`.
        sha256: What the file was when the run began.

    Raises:
        ConfigError: If what is given cannot teach this student.
        TrainingError: If the checkpoint cannot be read.
    """
    if (function := TeacherFunction.named(given)) is not None:
        return FunctionTeacher(function, sha256, int(student.n_outputs))
    if (path := teacher_file(data, given)) is not None:
        return OnnxTeacher(path, sha256, channels=int(student.arch["in_channels"]), n_outputs=int(student.n_outputs))
    return load_teacher(folder)
