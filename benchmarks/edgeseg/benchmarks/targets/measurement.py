"""What a device is asked to measure, as JSON beside the files."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.benchmarks.accuracy.images import Images, unpack
from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.engine_only.spec import EngineSpec
from edgeseg.benchmarks.engine_only.subject import EngineSubject
from edgeseg.benchmarks.golden import GoldenFrame
from edgeseg.benchmarks.process.job import AnySubject
from edgeseg.benchmarks.subject import Frame, Subject
from edgeseg.runtime.errors import MeasureError
from edgeseg.runtime.spec.manifest import ModelSpec

_FRAME, _IMAGES = "frame.npy", "images.zip"


@dataclass(frozen=True)
class Measurement:
    """The arguments of `harness.measure`, to be had on any machine.

    Attributes:
        subjects: What to measure.
        frame: The decoded test frame; `None` where engines are timed alone.
        frame_name: What the result calls it.
        config: How much and how patiently.
        golden: Frames with accepted masks, for targets that do not run the runtime; they are not sent to others.
        images: What every file is scored on where it is timed, or `None`.
    """

    subjects: tuple[AnySubject, ...]
    frame: Frame | None
    frame_name: str
    config: HarnessConfig
    golden: tuple[GoldenFrame, ...] = ()
    images: Images | None = None

    @property
    def backends(self) -> tuple[str, ...]:
        """The engines it needs, each once."""
        return tuple(dict.fromkeys(subject.spec.backend for subject in self.subjects))

    def files(self, folder: Path) -> dict[str, Path]:
        """All files by the names they have on the device: models, weights beside them, and the frame.

        Args:
            folder: Where the frame and the images are written to.
        """
        found: dict[str, Path] = {}
        for index, subject in enumerate(self.subjects):
            for path in (subject.model, *subject.beside):
                found[f"{index}/{path.relative_to(subject.model.parent).as_posix()}"] = path
        if self.frame is not None:
            np.save(folder / _FRAME, self.frame, allow_pickle=False)
            found[_FRAME] = folder / _FRAME
        if self.images is not None:
            found[_IMAGES] = self.images.pack(folder / _IMAGES)
        return found

    def to_json(self) -> dict[str, Any]:
        """The measurement without its files."""
        return {
            "subjects": [_subject_to_json(index, subject) for index, subject in enumerate(self.subjects)],
            "frame": None if self.frame is None else self.frame_name,
            "config": self.config.to_json(),
            "images": self.images is not None,
        }

    @classmethod
    def from_json(cls, obj: Mapping[str, Any], folder: Path) -> Measurement:
        """Read what `to_json` wrote; the files lie in `folder` under their names.

        Raises:
            MeasureError: A key or a file is missing.
        """
        try:
            frame = None if obj["frame"] is None else np.load(folder / _FRAME, allow_pickle=False)
            subjects = tuple(_subject_from_json(one, folder, alone=frame is None) for one in obj["subjects"])
            images = unpack(folder / _IMAGES, folder / "images") if obj["images"] else None
            return cls(subjects, frame, obj["frame"] or "", HarnessConfig(**obj["config"]), images=images)
        except (KeyError, TypeError, ValueError, OSError, zipfile.BadZipFile) as error:
            raise MeasureError(f"the device was given a job it cannot read: {error!r}") from error


def job_id(order: Mapping[str, Any]) -> str:
    """The name of everything that belongs to one job: the same job of the same host has the same one."""
    return hashlib.sha256(json.dumps(order, sort_keys=True).encode()).hexdigest()[:16]


def _subject_to_json(index: int, subject: AnySubject) -> dict[str, Any]:
    return {
        "name": subject.name,
        "file": f"{index}/{subject.model.name}",
        "beside": [f"{index}/{path.relative_to(subject.model.parent).as_posix()}" for path in subject.beside],
        "spec": subject.spec.to_json(),
        "accuracy": None if subject.accuracy is None else dict(subject.accuracy),
        "params": subject.params,
        "macs": subject.macs,
    }


def _subject_from_json(obj: Mapping[str, Any], folder: Path, *, alone: bool) -> AnySubject:
    model = folder / obj["file"]
    if alone:
        beside = tuple(folder / name for name in obj["beside"])
        return EngineSubject(obj["name"], model, EngineSpec.from_json(obj["spec"]), beside)
    spec = ModelSpec.from_json(obj["spec"])
    return Subject(obj["name"], model, spec, obj["accuracy"], obj["params"], obj["macs"])
