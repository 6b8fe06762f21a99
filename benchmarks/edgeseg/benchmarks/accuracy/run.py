"""Accuracy beside the times of one run: the same files, on the same machine, each in a fresh process."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeseg.benchmarks.accuracy.images import Images
from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.machine.turns import Turns
from edgeseg.benchmarks.process.job import AnySubject, Job
from edgeseg.benchmarks.process.launch import WorkerDied
from edgeseg.benchmarks.results.result import BenchResult

Runner = Callable[[Job, Callable[[str], None]], dict[str, Any]]


def with_accuracy(
    result: BenchResult,
    subjects: Sequence[AnySubject],
    images: Images,
    runner: Runner,
    progress: Callable[[float, str], None],
) -> BenchResult:
    """The same result, each of its rows that has times scored on these images; what a bundle says is left out.

    Args:
        result: Measured here, of these subjects.
        subjects: In the order of its rows.
        images: What they are shown.
        runner: Runs one worker job.
        progress: Told the ratio done in [0, 1] and what is scored now.

    Returns:
        What cannot be scored keeps its times, and says why in the place of its accuracy.
    """
    assert result.config is not None
    rows, n = [], len(result.rows) * (len(images.samples) + 1)
    with Turns().measuring(), tempfile.TemporaryDirectory(prefix="edgeseg-bench-") as folder:
        table, done = images.write_table(Path(folder)), 0

        def told(name: str) -> None:
            nonlocal done
            progress(min(done / n, 1.0), name)
            done += 1

        for row, subject in zip(result.rows, subjects, strict=True):
            found = _accuracy(subject, table, result.config, runner, told) if row.processes else None
            rows.append(replace(row, accuracy=found))
    return replace(result, rows=tuple(rows))


def _accuracy(
    subject: AnySubject, table: Path, config: HarnessConfig, runner: Runner, told: Callable[[str], None]
) -> dict[str, Any]:
    try:
        values = runner(Job("score", (subject,), table, config), told)[subject.name]
        return dict(values["accuracy"]) if values["status"] == "ok" else {"reason": values["reason"]}
    except WorkerDied as death:
        return {"reason": death.reason}
