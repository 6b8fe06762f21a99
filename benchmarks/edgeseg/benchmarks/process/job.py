"""What the parent tells a worker process, JSON on stdin."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.engine_only.spec import EngineSpec
from edgeseg.benchmarks.engine_only.subject import EngineSubject
from edgeseg.benchmarks.subject import Subject
from edgeseg.runtime.errors import MeasureError
from edgeseg.runtime.spec.manifest import ModelSpec

AnySubject = Subject | EngineSubject


@dataclass(frozen=True)
class Job:
    """One worker's task.

    Attributes:
        kind: `cold` = memory, load time and first call of one subject; `timing` = samples of all of them; `score` =
            accuracy of one.
        subjects: Names, files and specs, in the order of the turns.
        frame: A `.npy` file holding the test frame. A file, since JSON text would count as the worker's memory.
            `None` where engines are timed alone: then every subject is an `EngineSubject`, else every one a
            `Subject`. Of `score` the table of images, as `accuracy.images` writes it.
        config: The settings of the measurement.
    """

    kind: Literal["cold", "timing", "score"]
    subjects: tuple[AnySubject, ...]
    frame: Path | None
    config: HarnessConfig

    @property
    def timeout_s(self) -> float:
        """A worker silent for longer is ended [s]."""
        return self.config.timeout_s

    def to_json(self) -> dict[str, Any]:
        """The job as JSON."""
        subjects = [{"name": s.name, "model": str(s.model), "spec": s.spec.to_json()} for s in self.subjects]
        frame = None if self.frame is None else str(self.frame)
        return {"kind": self.kind, "subjects": subjects, "frame": frame, "config": asdict(self.config)}

    @classmethod
    def from_json(cls, obj: Any) -> Job:
        """Read what `to_json` wrote.

        Raises:
            MeasureError: A key is missing or has a wrong type.
        """
        try:
            frame = None if obj["frame"] is None else Path(obj["frame"])
            read = _engine_subject if frame is None else _subject
            subjects = tuple(read(s) for s in obj["subjects"])
            if obj["kind"] not in ("cold", "timing", "score") or not subjects:
                raise ValueError(f"kind {obj['kind']!r} with {len(subjects)} subjects")
            return cls(obj["kind"], subjects, frame, HarnessConfig(**obj["config"]))
        except (KeyError, TypeError, ValueError) as error:
            raise MeasureError(f"the worker was given a job it cannot read: {error!r}") from error


def _subject(obj: Any) -> AnySubject:
    return Subject(obj["name"], Path(obj["model"]), ModelSpec.from_json(obj["spec"]))


def _engine_subject(obj: Any) -> AnySubject:
    return EngineSubject(obj["name"], Path(obj["model"]), EngineSpec.from_json(obj["spec"]))
