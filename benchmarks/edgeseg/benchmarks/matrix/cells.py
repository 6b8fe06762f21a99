"""The cells of a matrix: every combination of what was listed, each a run with a name of its own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from itertools import product

import cv2
import numpy as np

from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.engine_only.tensors import Sizes
from edgeseg.benchmarks.sources import Source
from edgeseg.benchmarks.subject import Frame
from edgeseg.benchmarks.targets.measurement import Measurement, job_id
from edgeseg.benchmarks.targets.target import Wishes
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.files.hashes import sha256_file


@dataclass(frozen=True)
class Cell:
    """One combination.

    Attributes:
        threads: Of the engine.
        size: Height and width [px], such as `256x320`; "" for what the frame or the file has.
        batch: Images of one inference.
    """

    threads: int
    size: str = ""
    batch: int = 1

    @property
    def texts(self) -> tuple[str, str, str]:
        """Its columns in the table."""
        return str(self.threads), self.size or "own", str(self.batch)

    @property
    def sizes(self) -> Sizes:
        """Of inputs that a foreign file leaves open."""
        return replace(Sizes.parse(self.size, []), batch=self.batch)

    def job(self, source: Source, frame: Frame | None, name: str, config: HarnessConfig) -> Measurement:
        """What is measured in this cell.

        Raises:
            ConfigError: Frames are asked for in batches.
        """
        if frame is not None and self.batch > 1:
            raise ConfigError("a pipeline takes one frame at a time: --engine-only times engines in batches")
        if frame is not None and (pair := self.sizes.size_px) is not None:
            frame = np.asarray(cv2.resize(frame, pair[::-1], interpolation=cv2.INTER_AREA))
            name = f"{name} at {self.size}"
        return Measurement(source.subjects, frame, name, replace(config, threads=self.threads), source.golden)

    def file(self, job: Measurement, wishes: Wishes) -> str:
        """The name of the cell's result: another one where anything that was asked is another."""
        program = wishes.benchmark_model
        asked = {
            "job": job.to_json(),
            "models": [one.sha256() for one in job.subjects],
            "frame": None if job.frame is None else hashlib.sha256(job.frame.tobytes()).hexdigest(),
            "wishes": list(wishes.delegates),
            "program": sha256_file(program) if program is not None and program.is_file() else None,
        }
        return f"threads{self.threads}-{self.size or 'own'}-batch{self.batch}-{job_id(asked)[:8]}.json"


def cells(threads: str, sizes: str, batches: str) -> tuple[Cell, ...]:
    """Every combination of comma lists, in their order.

    Raises:
        ConfigError: A part is no number above 0, or no size.
    """
    wanted = [part.strip().lower() for part in sizes.split(",")] if sizes else [""]
    for one in wanted:
        Sizes.parse(one, [])
    found = product(_numbers("--threads", threads), wanted, _numbers("--batch", batches))
    return tuple(dict.fromkeys(Cell(*one) for one in found))


def _numbers(option: str, text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() and int(part) for part in parts):
        raise ConfigError(f"{option} {text}: give whole numbers with commas between, such as 1,2,4")
    return [int(part) for part in parts]
