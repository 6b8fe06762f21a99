"""Whether INT8 is faster: float and INT8 in one interleaved run, whole pipeline, and a refusal where it is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgeseg.benchmarks.compare import compare_rows
from edgeseg.benchmarks.config import HarnessConfig, quick
from edgeseg.benchmarks.harness import measure
from edgeseg.benchmarks.subject import Subject
from edgeseg.pipeline.int8.patient import File
from edgeseg.runtime.data.dataset import Sample, read_image
from edgeseg.runtime.data.imagefile import Color

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Race:
    """Float against INT8 on one frame; `ratio` = time of float / time of INT8, above 1 where INT8 is faster.

    Attributes:
        frame: Stem of the val image that was timed.
        threads: Threads of the engine.
        verdict: `faster`, `slower`, `no difference shown`, `inconclusive`, or `not measured`.
        reason: Why it is that verdict.
        float_ms: p50 of the whole pipeline: pre + infer + post [ms].
        int8_ms: Likewise.
        ratio: See above.
        lo95: Lower end of its 95 % interval.
        hi95: Upper end.
        warnings: What weakens the numbers.
    """

    frame: str
    threads: int
    verdict: str
    reason: str
    float_ms: float | None = None
    int8_ms: float | None = None
    ratio: float | None = None
    lo95: float | None = None
    hi95: float | None = None
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON."""
        return {**self.__dict__, "warnings": list(self.warnings)}


def race(
    models: dict[str, File],
    sample: Sample,
    color: Color,
    threads: int,
    progress: Progress | None = None,
    config: HarnessConfig | None = None,
) -> Race:
    """Time `float` and `int8` against each other.

    Args:
        models: Files and specs under exactly these two names.
        sample: The frame, from val.
        color: How it is read.
        threads: Threads of the engine.
        progress: Told how far it is.
        config: How patiently; default `quick(threads)`, five processes.
    """
    frame = read_image(sample.image, color, sample.window)
    subjects = [Subject(name, *models[name]) for name in ("float", "int8")]
    result = measure(subjects, frame, config or quick(threads), frame_name=sample.stem, progress=progress)
    failed = [row for row in result.rows if row.status != "ok"]
    if failed:
        return Race(sample.stem, threads, "not measured", f"{failed[0].name} {failed[0].status}: {failed[0].reason}")
    found = compare_rows(result, "float", "int8")
    warnings = tuple(dict.fromkeys(f"{one.check}: {one.message}" for one in result.warnings))
    times = (found.a_p50_ms, found.b_p50_ms, found.ratio, found.lo95, found.hi95)
    return Race(sample.stem, threads, found.verdict, found.reason, *times, warnings)
