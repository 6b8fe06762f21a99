"""Which file teaches, where a recipe names one; nothing of it is read but its bytes."""

from __future__ import annotations

from pathlib import Path

from edgeseg.runtime.data.dataset import DataSet, file_hash
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.file_kind import kind_of


def teacher_file(data: DataSet, given: str | None) -> Path | None:
    """The file that a recipe names by `distill.teacher`, if it does; a relative path starts at the data set.

    Raises:
        ConfigError: If there is no such file, or it is no ONNX model.
    """
    if given is None:
        return None
    path = data.root / Path(given).expanduser()
    if not path.is_file():
        raise ConfigError(f"distill.teacher: there is no file {path}; a relative path starts at the data set")
    if (kind := kind_of(path)).key != "onnx":
        raise ConfigError(f"distill.teacher is {path}, which is {kind.words}; name an ONNX file that answers logits")
    return path


def teacher_sha256(data: DataSet, given: str | None) -> str | None:
    """Identity of that file, wherever it lies."""
    path = teacher_file(data, given)
    return None if path is None else file_hash(path)
