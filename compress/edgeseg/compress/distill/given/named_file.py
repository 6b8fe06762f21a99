"""Which file teaches, where a recipe names one or a function in one; nothing of it is read but its bytes."""

from __future__ import annotations

from pathlib import Path

from edgeseg.compress.distill.given.named_function import TeacherFunction
from edgeseg.runtime.data.dataset import DataSet, file_hash
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.files.file_kind import kind_of


def teacher_file(data: DataSet, given: str | None) -> Path | None:
    """The ONNX file that a recipe names by `distill.teacher`, if it does; a relative path starts at the data set.

    Raises:
        ConfigError: If there is no such file, or it is no ONNX model.
    """
    if given is None or TeacherFunction.named(given) is not None:
        return None
    path = data.root / Path(given).expanduser()
    if not path.is_file():
        raise ConfigError(
            f"distill.teacher: there is no file {path}; a relative path starts at the data set (a Python function is "
            "named as module:function)"
        )
    if (kind := kind_of(path)).key != "onnx":
        raise ConfigError(f"distill.teacher is {path}, which is {kind.words}; name an ONNX file that answers logits")
    return path


def teacher_sha256(data: DataSet, given: str | None) -> str | None:
    """Identity of that file, or of the one that holds the function, wherever it lies; raises as these do."""
    function = TeacherFunction.named(given)
    path = teacher_file(data, given) if function is None else function.file()
    return None if path is None else file_hash(path)
