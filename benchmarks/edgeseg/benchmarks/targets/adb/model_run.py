"""One file by one delegate on a phone: what it sees, how long it takes, and where it really ran."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgeseg.benchmarks.process.job import AnySubject
from edgeseg.benchmarks.process.launch import ILLEGAL, how_it_ended
from edgeseg.benchmarks.results.result import ModelFile, Row, Status
from edgeseg.benchmarks.results.told import Told
from edgeseg.benchmarks.subject import Subject
from edgeseg.benchmarks.targets.adb.client import Phone
from edgeseg.benchmarks.targets.adb.delegates import Delegate
from edgeseg.benchmarks.targets.adb.masks import Feed, agreement, make_feed
from edgeseg.benchmarks.targets.measurement import Measurement
from edgeseg.benchmarks.tools import benchmark_model
from edgeseg.runtime.errors import EdgesegError, MeasureError

_NO_MASKS = "only a bundle brings frames with accepted masks"


class ModelRun:
    """A row to be.

    Args:
        phone: Where.
        place: The folder on the phone that holds the files, by their hash.
        program: Hash of `benchmark_model`.
        subject: The file.
        delegate: By what; `None` for a file that is no TFLite.
        job: Threads, time limits, golden frames.
    """

    def __init__(
        self, phone: Phone, place: str, program: str, subject: AnySubject, delegate: Delegate | None, job: Measurement
    ) -> None:
        self._phone, self._place, self._program = phone, place, program
        self._subject, self._delegate, self._job = subject, delegate, job
        self.name = f"{subject.name}@{delegate.name}" if delegate else subject.name
        self._told: list[Told] = []
        self._feed: Feed | None = None
        self._lost: tuple[Status, str] | None = None
        self._agreement: dict[str, Any] = {"frames": 0, "reason": _NO_MASKS}
        if delegate is None:
            self._lost = ("unsupported", "phones run TFLite files, in benchmark_model: this one is none")

    def look(self, folder: Path) -> None:
        """Golden frames through the phone; where masks differ by more than was accepted, the row has failed."""
        subject = self._subject
        if self._lost or not isinstance(subject, Subject):
            return
        golden = [one for one in self._job.golden if subject.name in one.masks]
        try:
            outputs = []
            for index, one in enumerate(golden):
                self._feed = make_feed(subject, one.frame, self._job.config.timeout_s)
                outputs.append(folder / f"{index}.out")
                self._push_feed(folder)
                if self._measure(["--num_runs=1", "--min_secs=0", *self._out_flags()]) is None:
                    return
                self._phone.pull(f"{self._place}/out", outputs[-1])
            if golden:
                self._agreement = agreement(subject, golden, outputs)
        except EdgesegError as error:
            self._agreement = {"frames": 0, "reason": str(error)}
            return
        if golden and not self._agreement["agrees"]:
            share, most = (self._agreement[f"{name}_differing_share"] for name in ("worst", "max"))
            self._lost = (
                "failed",
                f"its masks differ from the accepted ones in {share:.2%} of the pixels, {most:.2%} allowed",
            )

    def time(self, seconds: float, n: int) -> None:
        """One process, at least `n` runs and `seconds` long."""
        if not self._lost:
            told = self._measure([f"--num_runs={n}", f"--min_secs={seconds:g}", "--report_peak_memory_footprint=true"])
            self._told += [told] if told else []

    def row(self) -> Row:
        """What became of it."""
        subject, (status, reason) = self._subject, self._lost or ("ok", None)
        return Row(
            name=self.name,
            status=status,
            reason=reason,
            model=ModelFile(subject.sha256(), subject.n_bytes(), subject.params, subject.macs),
            backend=f"benchmark_model {self._delegate.name}" if self._delegate else subject.spec.backend,
            precision=subject.spec.precision,
            threads=self._job.config.threads,
            # What the bundle says of its accuracy was measured elsewhere, by another engine.
            accuracy={"agreement": self._agreement},
            told=() if self._lost else tuple(self._told),
        )

    def _push_feed(self, folder: Path) -> None:
        assert self._feed is not None
        (folder / "in").write_bytes(self._feed.data)
        self._phone.push(folder / "in", f"{self._place}/in")

    def _out_flags(self) -> list[str]:
        assert self._feed is not None
        return [*self._feed.flags(f"{self._place}/in"), f"--output_filepath={self._place}/out"]

    def _measure(self, flags: Sequence[str]) -> Told | None:
        """One process; `None` where it is lost, and why is kept."""
        assert self._delegate is not None
        config = self._job.config
        command = [
            f"{self._place}/{self._program}",
            f"--graph={self._place}/{self._subject.sha256()}",
            f"--num_threads={config.threads}",
            f"--max_secs={config.timeout_s:g}",
            *self._delegate.flags,
            *flags,
        ]
        done = self._phone.shell(*command, timeout_s=2 * config.timeout_s)
        try:
            self._lost = self._fault(done.returncode, done.stdout)
            return None if self._lost else benchmark_model.read(done.stdout)[0].told
        except MeasureError as error:
            self._lost = ("failed", str(error))
            return None

    def _fault(self, code: int, said: str) -> tuple[Status, str] | None:
        """Why an output is no result of this delegate, or `None`."""
        assert self._delegate is not None
        if benchmark_model.knows(said) and (reason := benchmark_model.read(said)[0].reason):
            return ("unsupported" if self._delegate.accelerates else "failed", reason)
        if code:
            lines = [line for line in said.splitlines() if line.strip()]
            reason = how_it_ended(code, lines[-1] if lines else "no message")
            return (
                "unsupported" if reason == ILLEGAL else "failed",
                reason.replace("worker process", "benchmark_model"),
            )
        placed = benchmark_model.placement(said)
        if not self._delegate.accelerates:
            return None
        if placed is None:
            return ("unsupported", f"benchmark_model does not say that {self._delegate.name} took anything")
        if placed.extent == "none":
            return (
                "unsupported",
                f"silent fallback: {placed.delegate} was applied and took no operator: the time is the processor's",
            )
        return None
