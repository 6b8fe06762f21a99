"""Measures subjects against each other: cold starts first, then interleaved blocks over several fresh processes.

Cold starts come first because they sort out what cannot run at all: a subject that crashes takes only its own process
with it, becomes a row with the reason, and is not seen again.
"""

from __future__ import annotations

import datetime
import hashlib
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.benchmarks.checks import check
from edgeseg.benchmarks.config import HarnessConfig, quick
from edgeseg.benchmarks.engine_only.subject import EngineSubject
from edgeseg.benchmarks.machine.environment import read_device, read_software
from edgeseg.benchmarks.machine.evidence import evidence_here
from edgeseg.benchmarks.machine.state import read_state
from edgeseg.benchmarks.machine.turns import Turns
from edgeseg.benchmarks.meters.watch import watching
from edgeseg.benchmarks.process.job import AnySubject, Job
from edgeseg.benchmarks.process.launch import ILLEGAL, WorkerDied, run_worker
from edgeseg.benchmarks.results.result import BenchResult, ModelFile, Row, Status, TestFrame
from edgeseg.benchmarks.results.result_file import process_from_json
from edgeseg.benchmarks.results.samples import Cold, ProcessRun
from edgeseg.benchmarks.subject import Frame, Subject
from edgeseg.benchmarks.timing.sustained import cool_down
from edgeseg.runtime.errors import FrameError, MeasureError

__all__ = ["HarnessConfig", "Subject", "measure", "quick"]

Runner = Callable[[Job, Callable[[str], None]], dict[str, Any]]
# Told the ratio done in [0, 1] and what is being measured now.
Progress = Callable[[float, str], None]


def measure(
    subjects: Sequence[AnySubject],
    frame: Frame | None,
    config: HarnessConfig = HarnessConfig(),  # noqa: B008  frozen
    *,
    frame_name: str = "frame",
    progress: Progress | None = None,
    runner: Runner = run_worker,
) -> BenchResult:
    """Measure every subject on one frame.

    Args:
        subjects: What to measure; their blocks take turns in this order, begun elsewhere in each process.
        frame: One decoded frame, uint8, shape (H, W) or (H, W, 3) RGB, as the subjects' specs want it; `None` where
            every subject is an `EngineSubject`, whose engine is timed alone.
        config: How much and how patiently.
        frame_name: What the result calls the frame; no path.
        progress: Told how far it is, between blocks and never during one.
        runner: Runs one worker job; another one in tests.

    Returns:
        One row per subject, in the order given. What cannot run is a row with its reason.

    Raises:
        MeasureError: No subjects, a name twice, a file that is not there, engines alone beside pipelines, or the
            meter is not there or cannot be used.
        FrameError: The frame is no image of uint8 or uint16.
    """
    refuse_nonsense(subjects, frame)
    with Turns().measuring(), tempfile.TemporaryDirectory(prefix="edgeseg-bench-") as folder:
        began, created = time.perf_counter(), datetime.datetime.now(datetime.timezone.utc)
        before = read_state()
        frame_file = _saved(frame, Path(folder))
        run = _Run(list(subjects), frame_file, config, runner, progress or (lambda _done, _what: None))
        with watching(config.meter, config.idle_s) as watched:
            if config.cold:
                run.measure_cold()
            if config.scenario == "sustained":
                run.measure_sustained()
            else:
                run.measure_timing()
    result = BenchResult(
        created=created.isoformat(timespec="seconds"),
        evidence=evidence_here(),
        config=config,
        frame=_described(frame, frame_name),
        device=read_device().to_json(),
        software=read_software(),
        before=before.to_json(),
        after=read_state().to_json(),
        duration_s=round(time.perf_counter() - began, 3),
        rows=tuple(run.row(subject) for subject in subjects),
        power=watched.trace,
        no_power=watched.reason,
    )
    return result.with_warnings(tuple(check(result)))


@dataclass
class _Run:
    """One measurement in progress."""

    subjects: list[AnySubject]
    frame_file: Path | None
    config: HarnessConfig
    runner: Runner
    progress: Progress
    cold: dict[str, Cold] = field(default_factory=dict)
    lost: dict[str, tuple[Status, str]] = field(default_factory=dict)
    runs: dict[str, list[ProcessRun]] = field(default_factory=dict)
    steps_done: int = 0

    def measure_cold(self) -> None:
        """One fresh process per subject."""
        for subject in self.subjects:
            reply = self._ask(Job("cold", (subject,), self.frame_file, self.config))
            values = self._accepted(subject.name, reply)
            if values is not None:
                self.cold[subject.name] = Cold(**values)

    def measure_timing(self) -> None:
        """The interleaved blocks, in `config.processes` fresh processes."""
        for index in range(self.config.processes):
            if index:
                time.sleep(self.config.pause_s)
            reply: dict[str, Any] | None = None
            while reply is None and (running := self._running()):
                # Each process begins its turns elsewhere, so that no subject always follows the same pause.
                turn = index % len(running)
                reply = self._ask(Job("timing", (*running[turn:], *running[:turn]), self.frame_file, self.config))
            for subject in self._running():
                values = self._accepted(subject.name, reply)
                if values is not None:
                    self.runs.setdefault(subject.name, []).append(process_from_json(values))

    def measure_sustained(self) -> None:
        """Each subject by itself, in one process, from a cool device on."""
        for subject in self._running():
            if self.config.start_below_c is not None:
                cool_down(self.config.start_below_c)
            values = self._accepted(subject.name, self._ask(Job("timing", (subject,), self.frame_file, self.config)))
            if values is not None:
                self.runs[subject.name] = [process_from_json(values)]

    def row(self, subject: AnySubject) -> Row:
        """What became of `subject`."""
        status: Status = "ok"
        reason: str | None = None
        if subject.name in self.lost:
            status, reason = self.lost[subject.name]
        return Row(
            name=subject.name,
            status=status,
            reason=reason,
            model=ModelFile(subject.sha256(), subject.n_bytes(), subject.params, subject.macs),
            backend=subject.spec.backend,
            precision=subject.spec.precision,
            threads=self.config.threads,
            cold=self.cold.get(subject.name),
            # Samples of a subject that broke later are no measurement of it.
            processes=tuple(self.runs.get(subject.name, ())) if status == "ok" else (),
            accuracy=subject.accuracy,
            engine_only=subject.spec if isinstance(subject, EngineSubject) else None,
        )

    def _running(self) -> list[AnySubject]:
        return [subject for subject in self.subjects if subject.name not in self.lost]

    def _ask(self, job: Job) -> dict[str, Any] | None:
        """The worker's reply, or `None` where it died: then the subject it was measuring is lost."""
        try:
            return self.runner(job, self._on_subject)
        except WorkerDied as death:
            name = death.subject or (job.subjects[0].name if len(job.subjects) == 1 else None)
            if name is None:
                raise MeasureError(f"a worker process could not start: {death.reason}") from death
            self.lost[name] = ("unsupported" if death.reason == ILLEGAL else "failed", death.reason)
            return None

    def _accepted(self, name: str, reply: dict[str, Any] | None) -> dict[str, Any] | None:
        """The values of a subject that is `ok`; otherwise its reason is kept."""
        values = (reply or {}).get(name)
        if values is None:
            self.lost.setdefault(name, ("failed", "the worker process said nothing of it"))
            return None
        if values["status"] != "ok":
            self.lost[name] = (values["status"], values["reason"])
            return None
        return {key: value for key, value in values.items() if key != "status"}

    def _on_subject(self, name: str) -> None:
        n, config = len(self.subjects), self.config
        steps = n + config.processes * n * (2 + config.blocks)  # cold; opening, warm-up, blocks
        self.progress(min(self.steps_done / steps, 1.0), name)
        self.steps_done += 1


def _saved(frame: Frame | None, folder: Path) -> Path | None:
    if frame is None:
        return None
    np.save(folder / "frame.npy", frame, allow_pickle=False)
    return folder / "frame.npy"


def _described(frame: Frame | None, name: str) -> TestFrame | None:
    if frame is None:
        return None
    return TestFrame(name, hashlib.sha256(np.ascontiguousarray(frame).tobytes()).hexdigest(), frame.shape)


def refuse_nonsense(subjects: Sequence[AnySubject], frame: Frame | None) -> None:
    """What no target can measure.

    Raises:
        MeasureError: No subjects, a name twice, a file that is not there, or engines alone beside pipelines.
        FrameError: The frame is no image of uint8 or uint16.
    """
    names = [subject.name for subject in subjects]
    if not names or len(set(names)) != len(names):
        raise MeasureError(f"subjects need names of their own, and at least one is needed; found {names}")
    for subject in subjects:
        if not subject.model.is_file():
            raise MeasureError(f"the model of {subject.name} is not there: {subject.model}")
    if {isinstance(subject, EngineSubject) for subject in subjects} != {frame is None}:
        raise MeasureError("an engine alone and a whole pipeline are never measured together: measure each by itself")
    if frame is None:
        return
    if frame.dtype not in (np.uint8, np.uint16) or frame.ndim not in (2, 3) or 0 in frame.shape:
        raise FrameError(
            f"the test frame is {frame.dtype} {frame.shape}: it must be uint8 or uint16, (H, W) or (H, W, 3)"
        )
