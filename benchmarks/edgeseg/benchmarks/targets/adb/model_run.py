"""One file by one delegate on a phone: what it sees, how long it takes, and where it really ran."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeseg.benchmarks.accuracy.scoring import score
from edgeseg.benchmarks.process.job import AnySubject
from edgeseg.benchmarks.process.launch import ILLEGAL, how_it_ended
from edgeseg.benchmarks.results.result import ModelFile, Row, Status
from edgeseg.benchmarks.results.told import Told
from edgeseg.benchmarks.subject import Frame, Subject
from edgeseg.benchmarks.targets.adb.client import Phone
from edgeseg.benchmarks.targets.adb.delegates import Delegate
from edgeseg.benchmarks.targets.adb.masks import Seen, agreement, make_feed, mask_of
from edgeseg.benchmarks.targets.measurement import Measurement
from edgeseg.benchmarks.tools import benchmark_model
from edgeseg.runtime.errors import EdgesegError, MeasureError
from edgeseg.runtime.golden import is_lost

_MOST_OFF = 0.1
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
        self.subject, self._delegate, self._job = subject, delegate, job
        self.name = f"{subject.name}@{delegate.name}" if delegate else subject.name
        self._told: list[Told] = []
        self._lost: tuple[Status, str] | None = None
        self._accuracy: dict[str, Any] = {}
        self._agreement: dict[str, Any] = {"frames": 0, "reason": _NO_MASKS}
        if delegate is None:
            self._lost = ("unsupported", "phones run TFLite files, in benchmark_model: this one is none")

    def look(self, folder: Path) -> None:
        """Golden frames through the phone; where masks differ by more than was accepted, the row has failed."""
        subject = self.subject
        if self._lost or not isinstance(subject, Subject):
            return
        golden = [one for one in self._job.golden if subject.name in one.masks]
        try:
            outputs = [folder / f"{index}.out" for index in range(len(golden))]
            if not all(self._through(subject, one.frame, file) for one, file in zip(golden, outputs, strict=True)):
                return
            if golden:
                self._agreement = agreement(subject, golden, outputs)
        except EdgesegError as error:
            self._agreement = {"frames": 0, "reason": str(error)}
            return
        if golden and not self._agreement["agrees"]:
            share, most = (self._agreement[f"{name}_differing_share"] for name in ("worst", "max"))
            reason = f"its masks differ from the accepted ones in {share:.2%} of the pixels, {most:.2%} allowed"
            if is_lost(self._agreement["worst_overlap"]):
                reason += f"; {self._agreement['worst_overlap']:.0%} of what either marks is marked by both"
            self._lost = ("failed", reason)

    def score(self, folder: Path) -> None:
        """The images of `--data` through the phone; what cannot be scored keeps its times, and says why."""
        subject, images = self.subject, self._job.images
        if self._lost or images is None or not isinstance(subject, Subject):
            return

        def seen(frame: Frame) -> Seen:
            if not self._through(subject, frame, folder / "out"):
                raise MeasureError(self._lost[1] if self._lost else "the phone gave no scores")
            return Seen(mask_of(subject, frame, (folder / "out").read_bytes()))

        try:
            self._accuracy = score(seen, images, subject.spec.input.color, lambda: None)
        except EdgesegError as error:
            self._accuracy = {"reason": str(error)}

    def time(self, seconds: float, n: int) -> None:
        """One process, at least `n` runs and `seconds` long."""
        if not self._lost:
            told = self._measure([f"--num_runs={n}", f"--min_secs={seconds:g}", "--report_peak_memory_footprint=true"])
            self._told += [told] if told else []

    def row(self) -> Row:
        """What became of it."""
        subject, (status, reason) = self.subject, self._lost or ("ok", None)
        return Row(
            name=self.name,
            status=status,
            reason=reason,
            model=ModelFile(subject.sha256(), subject.n_bytes(), subject.params, subject.macs),
            backend=f"benchmark_model {self._delegate.name}" if self._delegate else subject.spec.backend,
            precision=subject.spec.precision,
            threads=self._job.config.threads,
            # What the bundle says of its accuracy was measured elsewhere, by another engine.
            accuracy={"agreement": self._agreement, **self._accuracy},
            told=() if self._lost else tuple(self._told),
        )

    def _through(self, subject: Subject, frame: Frame, file: Path) -> bool:
        """A frame through the phone, its scores into a file; False where the row is lost."""
        feed = make_feed(subject, frame, self._job.config.timeout_s)
        pixels = file.with_suffix(".in")
        pixels.write_bytes(feed.data)
        self._phone.push(pixels, f"{self._place}/in")
        flags = [*feed.flags(f"{self._place}/in"), f"--output_filepath={self._place}/out"]
        self._phone.shell("rm", "-f", f"{self._place}/out")  # a program that writes none must not leave another's
        if self._measure(["--num_runs=1", "--min_secs=0", *flags]) is None:
            return False
        self._phone.pull(f"{self._place}/out", file)
        return True

    def _measure(self, flags: Sequence[str]) -> Told | None:
        """One process; `None` where it is lost, and why is kept."""
        assert self._delegate is not None
        config = self._job.config
        command = [
            f"{self._place}/{self._program}",
            f"--graph={self._place}/{self.subject.sha256()}",
            f"--num_threads={config.threads}",
            f"--max_secs={config.timeout_s:g}",
            *self._delegate.flags,
            *flags,
        ]
        code, lines = self._phone.stamped(*command, timeout_s=2 * config.timeout_s)
        said = "\n".join(text for _, text in lines)
        try:
            self._lost = self._fault(code, said)
            told = None if self._lost else benchmark_model.read(said)[0].told
            return told and replace(told, window_ns=_window(lines, told))
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


def _window(lines: Sequence[tuple[float | None, str]], told: Told) -> tuple[int, int] | None:
    """When the measured runs began and ended, by the phone's clock [ns]; `None` where that is not to be known."""
    found = benchmark_model.measured_lines([text for _, text in lines])
    if found is None:
        return None
    begun, ended = lines[found[0]][0], lines[found[1]][0]
    if begun is None or ended is None or told.n is None or told.mean is None:
        return None
    # A build that keeps its lines back would give other times than those of its runs.
    if abs(ended - begun - told.n * told.mean / 1e3) > _MOST_OFF * (ended - begun):
        return None
    return round(begun * 1e9), round(ended * 1e9)
