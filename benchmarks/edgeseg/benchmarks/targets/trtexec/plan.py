"""One file on the board: what is sent, what is run, and the row that its logs make."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeseg.benchmarks.engine_only.probe import ask_inputs
from edgeseg.benchmarks.engine_only.subject import EngineSubject
from edgeseg.benchmarks.process.job import AnySubject
from edgeseg.benchmarks.process.launch import how_it_ended
from edgeseg.benchmarks.results.result import Caution, ModelFile, Row, Status
from edgeseg.benchmarks.results.told import Told
from edgeseg.benchmarks.targets.measurement import Measurement
from edgeseg.benchmarks.targets.trtexec.board import Program
from edgeseg.benchmarks.targets.trtexec.scripts import Step
from edgeseg.benchmarks.targets.trtexec.words import (
    Input,
    beside,
    build_words,
    check_inputs,
    precision_of,
    run_words,
)
from edgeseg.benchmarks.tools import trtexec
from edgeseg.runtime.errors import MeasureError
from edgeseg.runtime.frame.preprocess import prepare

# To build an engine takes a small board many times as long as an engine may be silent.
_BUILDS = 10
_NO_MASKS = "trtexec times an engine on made-up numbers: what it sees is for the runtime to show"


@dataclass(frozen=True)
class Plan:
    """A row to be.

    Attributes:
        index: Of the subject; its folder on the board.
        subject: The file.
        job: Processes, seconds, samples, frame.
        program: The board's trtexec.
        build: Words that make the engine; empty where `lost`.
        run: Words that time it.
        lost: Why it is not run.
    """

    index: int
    subject: AnySubject
    job: Measurement
    program: Program
    build: tuple[str, ...] = ()
    run: tuple[str, ...] = ()
    lost: tuple[Status, str] | None = None

    @classmethod
    def of(cls, index: int, job: Measurement, program: Program) -> Plan:
        """What is to be done with a subject; what cannot be is a row with its reason."""
        subject, config, version = job.subjects[index], job.config, program.version
        if subject.model.suffix != ".onnx":
            return cls(index, subject, job, program, lost=("unsupported", "trtexec reads ONNX files: this one is none"))
        try:
            inputs = _inputs(subject, job)
            check_inputs(version, inputs)
            build = build_words(version, subject.model, inputs, subject.spec.precision)
        except MeasureError as error:
            return cls(index, subject, job, program, lost=("unsupported", str(error)))
        share = config.seconds / config.processes, math.ceil(config.min_samples / config.processes)
        return cls(index, subject, job, program, build, run_words(version, subject.model, inputs, *share))

    def files(self) -> dict[str, Path]:
        """What is sent, by the name it has in the job's folder."""
        if self.lost:
            return {}
        model = self.subject.model
        own = self.subject.beside if isinstance(self.subject, EngineSubject) else ()
        found = (model, *own, *beside(model))
        return {f"{self.index}/{path.relative_to(model.parent).as_posix()}": path for path in found}

    def steps(self, index: int) -> tuple[Step, ...]:
        """The build, or one of the timed processes after it (from 1 on)."""
        if self.lost:
            return ()
        config = self.job.config
        limit_s = config.seconds + config.timeout_s if index else _BUILDS * config.timeout_s
        words, after = (self.run, f"{self.index}-0") if index else (self.build, "")
        # --foreground: in the job's process group, with which it is ended.
        command = ("timeout", "--foreground", "-k", "10", f"{limit_s:.0f}", self.program.path, *words)
        return (Step(f"{self.index}-{index}", str(self.index), command, after),)

    def row(self, logs: Mapping[str, str | None]) -> Row:
        """What became of it, by its logs."""
        told, lost = self._told(logs)
        subject, (status, reason) = self.subject, lost or ("ok", None)
        return Row(
            name=subject.name,
            status=status,
            reason=reason,
            model=ModelFile(subject.sha256(), subject.n_bytes(), subject.params, subject.macs),
            backend=f"trtexec of TensorRT {self.program.version}",
            precision=precision_of(subject.model) or subject.spec.precision,
            threads=None,
            accuracy={"agreement": {"frames": 0, "reason": _NO_MASKS}},
            told=told,
        )

    def cautions(self, logs: Mapping[str, str | None]) -> tuple[Caution, ...]:
        """What its runs say of themselves."""
        texts = [text for index in self._processes() for text in trtexec.doubts(logs.get(f"{index}.log") or "")]
        remedy = "fix the clocks (sudo jetson_clocks) and measure again"
        return tuple(Caution("trtexec", self.subject.name, text, remedy) for text in dict.fromkeys(texts))

    def _processes(self) -> list[str]:
        return [f"{self.index}-{index}" for index in range(1, self.job.config.processes + 1)]

    def _told(self, logs: Mapping[str, str | None]) -> tuple[tuple[Told, ...], tuple[Status, str] | None]:
        if self.lost:
            return (), self.lost
        told: list[Told] = []
        for name in (f"{self.index}-0", *self._processes()):
            code, log = (logs.get(f"{name}.rc") or "").strip(), logs.get(f"{name}.log") or ""
            try:
                reason = _fault(code, log)
                if reason:
                    return (), ("failed", reason)
                if name != f"{self.index}-0" and (one := trtexec.read(log)[0].told):
                    told.append(one)
            except MeasureError as error:
                return (), ("failed", str(error))
        return tuple(told), None


def _fault(code: str, log: str) -> str | None:
    if code == "0" and "&&&& FAILED" not in log:
        return None
    if trtexec.knows(log) and "&&&& FAILED" in log:
        return trtexec.read(log)[0].reason
    lines = [line for line in log.splitlines() if line.strip()]
    if code == "124":
        return "trtexec did not come to an end, so it was ended (--timeout)"
    if not code.isdigit():
        return "trtexec was not run to its end"
    return how_it_ended(int(code), lines[-1] if lines else "no message").replace("worker process", "trtexec")


def _inputs(subject: AnySubject, job: Measurement) -> tuple[Input, ...]:
    """The inputs of a file by name, with the shapes they are run with.

    Raises:
        MeasureError: Nothing here can tell them.
    """
    declared = ask_inputs(subject.model, subject.spec.backend, job.config.timeout_s)
    if not declared:
        raise MeasureError(
            f"{subject.spec.backend} on this machine does not open the file, so nothing tells the names of its inputs"
        )
    if isinstance(subject, EngineSubject):
        shapes = [tuple(int(size) for size in one.shape) for one in subject.spec.inputs]
    else:
        assert job.frame is not None
        shapes = [(1, *prepare(job.frame, subject.spec.input).tensor.shape[1:])]
    return tuple(Input(one.name, one.dtype, shape, one.fixed) for one, shape in zip(declared, shapes, strict=True))
