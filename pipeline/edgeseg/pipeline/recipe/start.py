"""What a training starts from, as its step is keyed by it: by content, wherever a file lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.files.hashes import sha256_file
from edgeseg.train.pretrained.published import CONVERSION, PUBLISHED, Origin, Published, nearest_published

if TYPE_CHECKING:
    from edgeseg.train.pretrained.weights import Weights

NONE, IMAGENET, FILE = "none", "imagenet", "file"


@dataclass(frozen=True)
class StartSection:
    """Weights to start from.

    Attributes:
        name: Of `PUBLISHED`, or `file`.
        sha256: Of the published file, or of what the user's consists of.
        conversion: How they become our tensors.
    """

    name: str
    sha256: str
    conversion: int = CONVERSION

    def open(self, place: str | None) -> Weights:
        """Read the weights; published ones are converted once for all runs.

        Args:
            place: Of the user's file.

        Raises:
            ConfigError: If the package is not installed, or a file is not the one that was hashed.
            TrainingError: If the user's file holds no weights.
        """
        from edgeseg.train.pretrained.weights import file_weights, published_weights  # loads torch

        if self.name != FILE:
            return published_weights(self.name)
        path = self._checked(place)
        return file_weights(path)

    def origin(self, place: str | None) -> Origin:
        """What is told of a network that started from them; raises as `open` does."""
        if self.name != FILE:
            return PUBLISHED[self.name].origin
        from edgeseg.train.pretrained.weights import file_origin  # loads torch

        return file_origin(self._checked(place), self.sha256)

    def _checked(self, place: str | None) -> Path:
        path = Path(place or "")
        if _sha256(path) != self.sha256:
            raise ConfigError(f"student.init: {path} has changed since this run began; run the same command again")
        return path


def student_start(init: str, width: float, depth: float) -> StartSection | None:
    """What `student.init` means, for a student of this size.

    Raises:
        ConfigError: If it is no word and no file, or no published weights are as wide.
    """
    if init == NONE:
        return None
    if init == IMAGENET:
        return _published(nearest_published(width, depth))
    return StartSection(FILE, _sha256(Path(student_place(init) or "")))


def student_place(init: str) -> str | None:
    """Where the file is that `student.init` names, if it names one; a relative path starts at the current folder."""
    return None if init in (NONE, IMAGENET) else str(Path(init).expanduser())


def teacher_start(encoder: str) -> StartSection | None:
    """What `teacher.encoder` means."""
    return None if encoder == NONE else _published(PUBLISHED[encoder])


def _published(published: Published) -> StartSection:
    return StartSection(published.name, published.sha256)


def _sha256(path: Path) -> str:
    files = [path / "model.safetensors", path / "model.json"] if path.is_dir() else [path]
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise ConfigError(
            f"student.init: there is no {missing[0]}; name a checkpoint's folder or a safetensors file (a relative "
            f"path starts at the current folder), or use {IMAGENET} or {NONE}"
        )
    return sha256_file(*files)
