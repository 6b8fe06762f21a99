"""The worker's parent on a device: `python -m edgeseg.benchmarks.targets.device FOLDER` does the job that lies there.

Everything a worker process answered is written down at once, so that a device that lost its power, or a process that
was killed, goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeseg.benchmarks.harness import measure
from edgeseg.benchmarks.machine.evidence import evidence_here
from edgeseg.benchmarks.process.events import EVENT_MARK
from edgeseg.benchmarks.process.job import Job
from edgeseg.benchmarks.process.launch import WorkerDied, run_worker
from edgeseg.benchmarks.results.result import BenchResult, Caution
from edgeseg.benchmarks.results.result_file import write_result
from edgeseg.benchmarks.targets.measurement import Measurement
from edgeseg.runtime.errors import EdgesegError
from edgeseg.runtime.files.atomic import write_json

# Held back from a disk that fills up, so that the result can still be written.
RESERVE = "reserve"


class Journal:
    """Runs workers, and answers for those that have run already.

    Attributes:
        taken: How many answers came from an earlier start.
    """

    def __init__(self, folder: Path, run: Callable[..., dict[str, Any]] = run_worker) -> None:
        self._folder, self._run, self._asked, self.taken = folder, run, 0, 0

    def __call__(self, job: Job, on_subject: Callable[[str], None]) -> dict[str, Any]:
        """What `run_worker` does."""
        path = self._folder / f"{self._asked:04d}-{_key(job)}.json"
        self._asked += 1
        try:
            entry = json.loads(path.read_bytes())
            self.taken += 1
        except (OSError, ValueError):
            entry = self._done(job, on_subject)
            self._write(path, entry)
        if "died" in entry:
            raise WorkerDied(*entry["died"])
        return dict(entry["reply"])

    def _done(self, job: Job, on_subject: Callable[[str], None]) -> dict[str, Any]:
        try:
            return {"reply": self._run(job, on_subject)}
        except WorkerDied as death:
            return {"died": [death.subject, death.reason]}

    def _write(self, path: Path, entry: dict[str, Any]) -> None:
        try:
            write_json(path, entry)
        except (EdgesegError, OSError) as error:  # a full disk costs the journal, not the measurement
            say("note", text=f"this step would be measured again after a break: {error}")


def _key(job: Job) -> str:
    """What a job asks, without the folders it lies in."""
    obj = job.to_json()
    asked = [obj["kind"], [(one["name"], one["spec"]) for one in obj["subjects"]], obj["config"]]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]


def say(event: str, **values: Any) -> None:
    """Tell the host; a disk that is full for the moment costs the word, not the measurement."""
    line = EVENT_MARK + json.dumps({"event": event, **values})
    with suppress(OSError):
        os.write(1, f"{line}\n".encode())


def do_job(folder: Path) -> BenchResult:
    """Do the job of `folder` and write `result.json` there.

    Raises:
        EdgesegError: The job cannot be read or measured, or the result not be written.
    """
    order = json.loads((folder / "order.json").read_bytes())
    job = Measurement.from_json(order["job"], folder / "files")
    journal = Journal(folder / "journal")
    told = lambda done, what: say("progress", done=done, what=what)  # noqa: E731
    result = measure(job.subjects, job.frame, job.config, frame_name=job.frame_name, progress=told, runner=journal)
    result = replace(result, evidence=evidence_here(order["evidence"]))
    if journal.taken:
        result = _resumed(result, journal.taken)
    (folder / RESERVE).unlink(missing_ok=True)
    write_result(result, folder / "result.json")
    return result


def _resumed(result: BenchResult, steps: int) -> BenchResult:
    """Of a job that went on after a break: its meter, and after a new start of the device its clock, are others."""
    text = f"{steps} steps were measured before a break, at another hour"
    caution = Caution("resumed", None, text, "measure again without a break where it matters")
    if result.power is not None:
        result = replace(result, power=None, no_power="the meter was read after a break, not before it")
    return result.with_warnings((*result.warnings, caution))


def main(folder: Path) -> int:
    """Do the job; the last event says how it ended."""
    try:
        do_job(folder)
    except EdgesegError as error:
        say("end", ok=False, reason=str(error))
        return 1
    except OSError as error:
        say("end", ok=False, reason=f"{error.strerror or error}: {Path(str(error.filename or '')).name}")
        return 1
    say("end", ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
