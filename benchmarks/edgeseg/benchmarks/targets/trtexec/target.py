"""The target `trtexec://user@host`: ONNX files there, engines built and timed by NVIDIA's own program, logs back.

For boards whose Python is too old for us, as JetPack 4's and 5's: nothing but a shell and TensorRT is needed there.
"""

from __future__ import annotations

import datetime
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from edgeseg.benchmarks.checks import check
from edgeseg.benchmarks.harness import refuse_nonsense
from edgeseg.benchmarks.results.result import BenchResult, Caution
from edgeseg.benchmarks.targets.address import Address
from edgeseg.benchmarks.targets.measurement import Measurement, job_id
from edgeseg.benchmarks.targets.mirror import files_in
from edgeseg.benchmarks.targets.one_tile import one_tile_each
from edgeseg.benchmarks.targets.owner import owner, this_job
from edgeseg.benchmarks.targets.ssh.connection import Connection, LinkError
from edgeseg.benchmarks.targets.ssh.patience import FIRST_S, PATIENCE_S, Patience
from edgeseg.benchmarks.targets.target import Progress, Wishes
from edgeseg.benchmarks.targets.trtexec import scripts
from edgeseg.benchmarks.targets.trtexec.begun import Begun
from edgeseg.benchmarks.targets.trtexec.board import Program, find_program, read_board, read_evidence, read_heat
from edgeseg.benchmarks.targets.trtexec.plan import Plan
from edgeseg.runtime.errors import ConfigError, MeasureError
from edgeseg.runtime.files.hashes import sha256_file

# Each look costs the board a few milliseconds of a core while it measures.
_POLL_S = 5.0
_RESTARTS = 3
_Told = Callable[[int], None]


class TrtexecTarget:
    """A board behind ssh that has TensorRT.

    Args:
        address: Which.
        patience_s: See `PATIENCE_S`.
    """

    def __init__(self, address: Address, _wishes: Wishes = Wishes(), patience_s: float = PATIENCE_S) -> None:  # noqa: B008
        self.address, self._patience = address, Patience(patience_s)
        self._open = ExitStack()
        self._device = Connection(address)
        self._open.callback(self._device.close)

    def put(self, files: Iterable[Path]) -> None:
        """Send what is not there yet."""
        here = set(self._shell(scripts.have()).split())
        for sha256, path in {sha256_file(path): path for path in files}.items():
            if sha256 not in here:
                self._patience.again(lambda sha256=sha256, path=path: self._send(sha256, path))  # type: ignore[misc]

    def run(self, job: Measurement, progress: Progress) -> BenchResult:
        """Build an engine of every ONNX file, then time them in turns, in several processes."""
        refuse_nonsense(job.subjects, job.frame)
        if job.config.meter is not None:
            raise ConfigError(
                f"{self.address.name}: --meter {job.config.meter}: none is read beside trtexec; leave it out"
            )
        if job.images is not None:
            raise ConfigError(f"{self.address.name}: --data: trtexec makes no masks; leave it out")
        self._patience.again(lambda: self._device.shell("true"), at_most_s=FIRST_S)
        program = find_program(self._shell, self.address.name)
        plans = [Plan.of(index, job, program) for index in range(len(job.subjects))]
        now = self._now(program)
        began = time.perf_counter()
        logs, taken, was_done = self._done(plans, job, now, progress)
        begun = Begun.from_text(logs["about"] or "") if "about" in logs else now
        plans = [replace(plan, program=program._replace(version=begun.tensorrt)) for plan in plans]
        rows = tuple(plan.row(logs) for plan in plans)
        cautions = [caution for plan in plans for caution in plan.cautions(logs)]
        timed = [(row.name, plan.subject) for row, plan in zip(rows, plans, strict=True) if row.measured]
        cautions += one_tile_each(timed, job.frame)
        if taken:
            text = f"{taken} steps were measured before a break, at another hour"
            cautions.append(Caution("resumed", None, text, "measure again without a break where it matters"))
        cautions += begun.cautions(now)
        result = BenchResult(
            created=begun.created,
            evidence=begun.evidence,
            config=job.config,
            frame=None,
            device=begun.device,
            software={"tensorrt": begun.tensorrt},
            before=begun.before,
            # Of a job that was done when it was found, the heat of today says nothing.
            after={} if was_done and begun != now else read_heat(self._shell).to_json(),
            duration_s=_duration_s(logs) or round(time.perf_counter() - began, 3),
            rows=rows,
        )
        return result.with_warnings((*check(result), *cautions))

    def describe(self) -> dict[str, Any]:
        """What the board says of itself."""
        device = self._patience.again(lambda: read_board(self._device.shell), at_most_s=FIRST_S)
        row: dict[str, Any] = {"version": None, "runs": [], "reason": None}
        software: dict[str, str] = {}
        try:
            software["tensorrt"] = find_program(self._shell, self.address.name).version
            row |= {"version": f"trtexec of TensorRT {software['tensorrt']}", "reason": "not tried"}
        except MeasureError as error:
            row["reason"] = str(error)
        return {
            "device": device.to_json(),
            "software": software,
            "state": read_heat(self._shell).to_json(),
            "engines": {"tensorrt": row},
            "sensors": [],
            "evidence": read_evidence(self._shell, self.address.evidence),
        }

    def __enter__(self) -> TrtexecTarget:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the connection."""
        self._open.close()

    def _now(self, program: Program) -> Begun:
        return Begun(
            datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            read_evidence(self._shell, self.address.evidence),
            program.version,
            read_board(self._shell).to_json(),
            read_heat(self._shell).to_json(),
        )

    def _shell(self, script: str) -> str:
        return self._patience.again(lambda: self._device.shell(script))

    def _send(self, sha256: str, path: Path) -> None:
        if self._device.shell(scripts.put(sha256), path).strip() != "ok":
            raise LinkError(f"{self.address.name}: {path.name} did not arrive whole")

    def _done(
        self, plans: Sequence[Plan], job: Measurement, now: Begun, progress: Progress
    ) -> tuple[Mapping[str, str | None], int, bool]:
        """Logs and exit codes of all steps, by file name; how many are from before a break; whether all were there."""
        rounds = range(job.config.processes + 1)
        steps = [step for index in rounds for plan in _turned(plans, index) for step in plan.steps(index)]
        if not steps:
            return {}, 0, False
        files = {name: path for plan in plans for name, path in plan.files().items()}
        with tempfile.TemporaryDirectory(prefix="edgeseg-") as folder:
            files["job.sh"] = Path(folder) / "job.sh"
            files["job.sh"].write_text(scripts.job(steps), encoding="utf-8")
            links = {name: sha256_file(path) for name, path in files.items()}
            name = job_id({"owner": owner(), "to": self.address.name, "files": links})
            with this_job(name):
                by = f"a bench of {len(plans)} files"
                start = scripts.start(name, links, by, now.to_text())
                taken, was_done = self._follow(
                    name, start, files, lambda done: progress(done / len(steps), _at_work(steps, done, job))
                )
                logs = files_in(self._shell(scripts.logs(name)))
                self._shell(scripts.clean(name, list(links.values())))
        return logs, taken, was_done

    def _follow(self, name: str, start: str, files: Mapping[str, Path], told: _Told) -> tuple[int, bool]:
        """Until the job is done; where it ended without a word, as in a power cut, it is begun again.

        Returns:
            How many steps had ended when it was last begun, and whether it was done when it was looked for.
        """
        for _ in range(1 + _RESTARTS):
            self.put(files.values())
            said = self._shell(start).strip()
            if said.startswith("busy"):
                raise MeasureError(
                    f"{self.address.name} is at another bench ({said.removeprefix('busy ')}): two at once would "
                    "measure each other. Wait for its end"
                )
            taken = int((*said.split(), "0")[1])  # a start that is just at work has not counted yet
            try:
                if self._watched(name, told):
                    return taken, said.startswith("done")
            except KeyboardInterrupt:  # nobody waits for it any more; the same command goes on with it
                self._device.shell(scripts.stop(name))
                raise
        raise MeasureError(f"{self.address.name}: the bench ended {1 + _RESTARTS} times before its end")

    def _watched(self, name: str, told: _Told) -> bool:
        """Whether the job came to its end."""
        while True:
            ended, state = self._shell(scripts.look(name)).split()
            told(int(ended))
            if state != "working":
                return state == "done"
            time.sleep(_POLL_S)


def _turned(plans: Sequence[Plan], index: int) -> Sequence[Plan]:
    turn = index % len(plans)
    return (*plans[turn:], *plans[:turn])


def _duration_s(logs: Mapping[str, str | None]) -> float | None:
    """From the job's first start to its end, by the board's clock."""
    times = [(logs.get(name) or "").strip() for name in ("begun", "done")]
    return float(int(times[1]) - int(times[0])) if all(one.isdigit() for one in times) else None


def _at_work(steps: Sequence[scripts.Step], done: int, job: Measurement) -> str:
    """The file at work."""
    return job.subjects[int(steps[min(done, len(steps) - 1)].folder)].name
