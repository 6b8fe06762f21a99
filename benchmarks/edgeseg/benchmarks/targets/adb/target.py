"""The target `adb://serial`: TFLite files in LiteRT's `benchmark_model` on a phone, by processor, GPU and delegates."""

from __future__ import annotations

import datetime
import math
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any

from edgeseg.benchmarks.checks import check
from edgeseg.benchmarks.harness import refuse_nonsense
from edgeseg.benchmarks.machine.state import MachineState
from edgeseg.benchmarks.meters.watch import Watched, read_beside
from edgeseg.benchmarks.results.result import BenchResult, Caution
from edgeseg.benchmarks.targets.adb.client import Phone
from edgeseg.benchmarks.targets.adb.delegates import read_delegates
from edgeseg.benchmarks.targets.adb.facts import describe_phone, read_evidence, read_heat, read_phone
from edgeseg.benchmarks.targets.adb.meter import PhoneMeter, refuse_meter
from edgeseg.benchmarks.targets.adb.model_run import ModelRun
from edgeseg.benchmarks.targets.address import Address
from edgeseg.benchmarks.targets.measurement import Measurement
from edgeseg.benchmarks.targets.one_tile import one_tile_each
from edgeseg.benchmarks.targets.owner import this_job
from edgeseg.benchmarks.targets.target import Progress, Wishes
from edgeseg.runtime.errors import ConfigError, MeasureError
from edgeseg.runtime.files.hashes import sha256_file

_PLACE = "/data/local/tmp/edgeseg"  # where any program may be run without root
_MODELS = "https://ai.google.dev/edge/litert/models/measurement"


class AdbTarget:
    """A phone. Everything lies in one folder there, which is taken away at the end."""

    def __init__(self, address: Address, wishes: Wishes = Wishes()) -> None:  # noqa: B008  frozen
        self.address, self.wishes = address, wishes
        self.phone = Phone(address.host)

    def put(self, files: Iterable[Path]) -> None:
        """Copy files there, under their hash; those that are there are not sent again."""
        self.phone.shell("mkdir", "-p", _PLACE)
        here = set(self.phone.text("ls", _PLACE).split())
        for path in files:
            if sha256_file(path) not in here:
                part = f"{_PLACE}/part"
                self.phone.push(path, part)
                self.phone.shell("mv", part, f"{_PLACE}/{sha256_file(path)}")

    def run(self, job: Measurement, progress: Progress) -> BenchResult:
        """Time every TFLite file by every delegate, in turns, in several processes; then look at its masks."""
        refuse_nonsense(job.subjects, job.frame)
        program = self._program()
        refuse_meter(job.config.meter, self.address.name)
        with this_job(f"adb-{self.address.host}"), tempfile.TemporaryDirectory(prefix="edgeseg-") as folder:
            device, before = read_phone(self.phone), read_heat(self.phone)
            began, created = time.perf_counter(), datetime.datetime.now(datetime.timezone.utc)
            try:
                self.put([program, *(one.model for one in job.subjects if one.model.suffix == ".tflite")])
                self.phone.shell("chmod", "755", f"{_PLACE}/{sha256_file(program)}")
                with self._metered(job) as watched:
                    runs = self._runs(job, sha256_file(program), Path(folder), progress)
            finally:
                self.phone.shell("rm", "-rf", _PLACE)
            after = read_heat(self.phone)
        rows = tuple(one.row() for one in runs)
        timed = [(row.name, one.subject) for row, one in zip(rows, runs, strict=True) if row.measured]
        result = BenchResult(
            created=created.isoformat(timespec="seconds"),
            evidence=read_evidence(self.phone, device, self.address.evidence),
            config=job.config,
            frame=None,
            device=device.to_json(),
            software=_software(program),
            before=before.to_json(),
            after=after.to_json(),
            duration_s=round(time.perf_counter() - began, 3),
            rows=rows,
            power=watched.trace,
            no_power=watched.reason,
        )
        # Android's status of its heat is no count of events, as that check takes it: `_hot` reads it.
        checked = (one for one in check(result) if one.check != "throttling")
        return result.with_warnings((*checked, *_hot(before, after), *one_tile_each(timed, job.frame)))

    def describe(self) -> dict[str, Any]:
        """What the phone says of itself."""
        program = self.wishes.benchmark_model
        software = _software(program) if program is not None and program.is_file() else {}
        return describe_phone(self.phone, self.address.evidence) | {"software": software}

    def __enter__(self) -> AdbTarget:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to let go of."""

    def _metered(self, job: Measurement) -> AbstractContextManager[Watched]:
        meter = job.config.meter
        if meter is None:
            return nullcontext(Watched())
        return read_beside(PhoneMeter(self.phone, _PLACE, meter), job.config.idle_s)

    def _program(self) -> Path:
        path = self.wishes.benchmark_model
        if path is None:
            raise ConfigError(
                f"{self.address.name}: phones are measured by LiteRT's benchmark_model: fetch it for the phone's "
                f"processor ({_MODELS}) and name it with --benchmark-model"
            )
        if not path.is_file():
            raise MeasureError(f"--benchmark-model {path} is no file")
        return path

    def _runs(self, job: Measurement, program: str, folder: Path, progress: Progress) -> list[ModelRun]:
        runs = [
            ModelRun(self.phone, _PLACE, program, subject, delegate, job)
            for subject in job.subjects
            for delegate in (read_delegates(self.wishes.delegates) if subject.model.suffix == ".tflite" else (None,))
        ]
        steps, done = len(runs) * (job.config.processes + 1), 0
        for index in range(job.config.processes + 1):
            time.sleep(job.config.pause_s if 0 < index < job.config.processes else 0)
            turn = index % len(runs)
            for one in (*runs[turn:], *runs[:turn]):
                progress(done / steps, one.name)
                done += 1
                if index == 0:  # first what it sees: a phone that is wrong is not timed
                    one.look(folder)
                    one.score(folder)
                else:
                    one.time(seconds=job.config.seconds / job.config.processes, n=_share(job))
        return runs


def _hot(before: MachineState, after: MachineState) -> Iterator[Caution]:
    hot = max(before.throttle_events or 0, after.throttle_events or 0)
    if hot:
        text = f"the phone brakes for its heat (thermal status {hot})"
        yield Caution("throttled", None, text, "let it cool and measure again with --pause 60")


def _software(program: Path) -> dict[str, str]:
    return {"benchmark_model": f"sha256:{sha256_file(program)}"}


def _share(job: Measurement) -> int:
    return math.ceil(job.config.min_samples / job.config.processes)
