"""One fresh process of a measurement: `python -m edgeseg.benchmarks.process.worker`, job on stdin, result on stdout.

Standard output carries nothing but the result: whatever an engine prints there is sent to stderr, on which the worker
also says, line by line, what it is about to measure.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from edgeseg.benchmarks.engine_only.stages import open_engine_only
from edgeseg.benchmarks.engine_only.subject import EngineSubject
from edgeseg.benchmarks.process.events import event, failure
from edgeseg.benchmarks.process.job import AnySubject, Job
from edgeseg.benchmarks.subject import Frame, Stages, Subject
from edgeseg.benchmarks.timing.clock import Clock, MachineClock
from edgeseg.benchmarks.timing.cold import measure_cold
from edgeseg.benchmarks.timing.loop import time_subjects
from edgeseg.benchmarks.timing.sustained import time_sustained

Opener = Callable[[AnySubject, int], Stages]
Report = Callable[[str], None]


def run_job(job: Job, open_subject: Opener, clock: Clock, report: Report) -> dict[str, Any]:
    """Do one job.

    Args:
        job: What to measure.
        open_subject: Loads a subject with a number of threads.
        clock: Where the time comes from.
        report: Told the name of each subject just before it is measured.

    Returns:
        Per subject name either `status: ok` and its samples, or another status and the reason. JSON-able.
    """
    if job.kind == "score":
        return _score(job, report)
    frame: Frame = np.zeros((0, 0), np.uint8) if job.frame is None else np.load(job.frame, allow_pickle=False)
    return (
        _cold(job, frame, open_subject, clock, report)
        if job.kind == "cold"
        else _timing(job, frame, open_subject, clock, report)
    )


def _cold(job: Job, frame: Frame, open_subject: Opener, clock: Clock, report: Report) -> dict[str, Any]:
    (subject,) = job.subjects
    report(subject.name)
    try:
        cold = measure_cold(lambda: open_subject(subject, job.config.threads), frame, clock)
    except Exception as error:  # any fault of a subject is a row of the table
        return {subject.name: failure(error)}
    return {subject.name: {"status": "ok", **asdict(cold)}}


def _timing(job: Job, frame: Frame, open_subject: Opener, clock: Clock, report: Report) -> dict[str, Any]:
    opened: dict[str, Stages] = {}
    reply: dict[str, Any] = {}
    for subject in job.subjects:
        report(subject.name)
        try:
            opened[subject.name] = open_subject(subject, job.config.threads)
        except Exception as error:  # as above
            reply[subject.name] = failure(error)
    if job.config.scenario == "sustained":
        runs = {name: time_sustained(name, one, frame, job.config, clock, report) for name, one in opened.items()}
    else:
        runs = time_subjects(opened, frame, job.config, clock, report)
    for name, run in runs.items():
        reply[name] = {"status": "ok", **asdict(run)}
    for stages in opened.values():
        stages.close()
    return reply


def _score(job: Job, report: Report) -> dict[str, Any]:
    """Accuracy has nothing of the clock: the segmenter as every user of the runtime has it."""
    from edgeseg.benchmarks.accuracy.images import read_table
    from edgeseg.benchmarks.accuracy.scoring import score
    from edgeseg.runtime.segmenter import Segmenter

    (subject,) = job.subjects
    assert job.frame is not None and isinstance(subject, Subject)
    report(subject.name)
    try:
        with Segmenter.from_file(subject.model, subject.spec, threads=job.config.threads) as segmenter:
            color = subject.spec.input.color
            found = score(segmenter, read_table(job.frame), color, lambda: report(subject.name))
    except Exception as error:  # as above
        return {subject.name: failure(error)}
    return {subject.name: {"status": "ok", "accuracy": found}}


def open_segmenter(subject: AnySubject, threads: int) -> Stages:
    """Load a subject the way every user of the runtime does, or a foreign file in its engine alone."""
    if isinstance(subject, EngineSubject):
        return open_engine_only(subject, threads)
    from edgeseg.runtime.segmenter import Segmenter

    return Segmenter.from_file(subject.model, subject.spec, threads=threads)


def main() -> int:
    """Read a job from stdin and write its result to stdout."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answer:
        os.dup2(2, 1)  # an engine's printf must not end up in the JSON
        job = Job.from_json(json.load(sys.stdin))
        import edgeseg.runtime.segmenter  # noqa: F401  cv2 belongs to the baseline, not to the model

        json.dump(run_job(job, open_segmenter, MachineClock(), _say), answer)
    return 0


def _say(subject: str) -> None:
    print(event(subject), file=sys.stderr, flush=True)  # noqa: T201  the line the parent waits for


if __name__ == "__main__":
    sys.exit(main())
