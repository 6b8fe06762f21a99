"""A job done on the machine that this runs on."""

from __future__ import annotations

from edgeseg.benchmarks.accuracy.run import Runner, with_accuracy
from edgeseg.benchmarks.harness import measure
from edgeseg.benchmarks.process.launch import run_worker
from edgeseg.benchmarks.results.result import BenchResult
from edgeseg.benchmarks.targets.measurement import Measurement
from edgeseg.benchmarks.targets.target import Progress

# Of a run with images; what it is told ends at 1 either way.
_TIMING_SHARE = 0.8


def measured(job: Measurement, progress: Progress, runner: Runner = run_worker) -> BenchResult:
    """Time every subject; then score it, where there are images.

    Raises:
        EdgesegError: The job cannot be measured.
    """
    share = 1.0 if job.images is None else _TIMING_SHARE

    def timing(done: float, what: str) -> None:
        progress(done * share, what)

    result = measure(job.subjects, job.frame, job.config, frame_name=job.frame_name, progress=timing, runner=runner)
    if job.images is None:
        return result
    return with_accuracy(
        result, job.subjects, job.images, runner, lambda done, what: progress(share + done * (1 - share), what)
    )
