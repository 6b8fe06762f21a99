"""A machine elsewhere that measures for a search: what it is, asked once before anything is trained, and its times."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.engine_only.engines import open_file
from edgeseg.benchmarks.engine_only.spec import EngineSpec
from edgeseg.benchmarks.engine_only.subject import EngineSubject
from edgeseg.benchmarks.layers.job import LayerConfig, LayerFiles
from edgeseg.benchmarks.results.result import BenchResult, Row
from edgeseg.benchmarks.subject import Frame, Subject
from edgeseg.benchmarks.targets import open_target
from edgeseg.benchmarks.targets.address import Address
from edgeseg.benchmarks.targets.measurement import Measurement
from edgeseg.benchmarks.targets.target import Progress, Wishes
from edgeseg.pipeline.target.machine import Machine, ThisMachine
from edgeseg.runtime.device.selfcheck import probe_files, probe_frame
from edgeseg.runtime.engines import BUDGET_TARGETS, ENGINES, engine_of_target
from edgeseg.runtime.errors import ConfigError, MeasureError
from edgeseg.runtime.opening.selection import architecture

# As `machine.METHOD`: a layer here is the difference of two files that an engine runs alone.
METHOD = "files-1"
_PATHS = ("wheel", "wheelhouse", "benchmark_model")  # of the wishes
# What of a device says nothing of its speed, or changes with every update.
_NO_PACE = {"os", "kernel", "memory_mib", "virtualised"}
_HELLO = HarnessConfig(threads=1, processes=1, blocks=1, seconds=0.05, min_samples=3, warmup_cap_s=0.2, idle_s=0.0)


def _quiet(_done: float, _what: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Elsewhere:
    """One machine behind ssh or adb, or this one by the same way; see `machine.Machine`.

    Attributes:
        address: Which.
        wishes: What it measures with.
        told: What it has answered: `device engine evidence meter sensor`.
    """

    address: Address
    wishes: Wishes
    told: Mapping[str, Any]

    @property
    def meter(self) -> str | None:
        """What measures energy there, as `--meter` names it."""
        found: str | None = self.told["meter"]
        return found

    @property
    def evidence(self) -> str:
        """What its numbers are, by its own word."""
        return str(self.told["evidence"])

    @property
    def engine_alone(self) -> bool:
        """Phones, by `benchmark_model`."""
        return self.address.scheme == "adb"

    def sensor(self) -> Mapping[str, Any] | None:
        """What measures energy there."""
        found: Mapping[str, Any] | None = self.told["sensor"]
        return found

    def check(self, target: str, engine: str) -> None:
        """Refuse a target of another architecture."""
        own = target_of(self.told["device"], engine)
        if own != target:
            raise MeasureError(f"target {target} is another machine; {self.address.name} is {own}")

    def identity(self, engine: str) -> str:  # noqa: ARG002  what was asked about is what answered
        """All that it said of itself."""
        device = {key: value for key, value in self.told["device"].items() if value not in (None, [], ())}
        said = ", ".join(f"{key} {' '.join(v) if isinstance(v, list) else v}" for key, v in device.items())
        level = "" if self.evidence == "device" else f" | {self.evidence}"
        return f"{said} | {self.told['engine']} | {METHOD}{level}"

    def layers_ms(self, engine: str, files: Sequence[LayerFiles], config: LayerConfig) -> list[float]:
        """Every layer's two files in turns, by the engine alone; the difference of their medians is the layer's."""
        asked = HarnessConfig(
            threads=config.threads,
            processes=config.processes,
            blocks=config.rounds,
            seconds=config.block_s * config.rounds * config.processes,
            min_samples=3 * config.rounds * config.processes,
            warmup_cap_s=0.1 * config.processes,
            rewarm=2,
            settle_cap_s=config.settle_cap_s,
            timeout_s=config.timeout_s,
            cold=False,
        )
        subjects = [
            EngineSubject(f"{index} {size}", path, _spec(path, engine))
            for index, one in enumerate(files)
            for size, path in (("few", one.few), ("many", one.many))
        ]
        result = self.run(Measurement(tuple(subjects), None, "", asked))
        times = [_typical_ms(row, files[index // 2].name) for index, row in enumerate(result.rows)]
        pairs = zip(times[::2], times[1::2], files, strict=True)
        return [max((many - few) / one.extra, 0.0) for few, many, one in pairs]

    def measure(self, subjects: Sequence[Subject], frame: Frame, config: HarnessConfig) -> tuple[BenchResult, None]:
        """Whole pipelines there; on a phone the engine alone. How busy it was is not told."""
        return self.run(Measurement(tuple(subjects), frame, "frame", config)), None

    def run(self, job: Measurement, progress: Progress = _quiet) -> BenchResult:
        """Measure there, as `targets.Target.run`, rows under the names of the job.

        Raises:
            MeasureError: If it is no longer reached, or answers as another machine than at the beginning.
        """
        with open_target(self.address, self.wishes) as target:
            result = target.run(job, progress)
        if _device(result.device) != _device(self.told["device"]) or result.evidence != self.evidence:
            raise MeasureError(
                f"{self.address.name} is another machine than the one that was asked at the beginning, or its power "
                "mode or clocks were changed: set it as it was, or give the same command again to begin anew"
            )
        return replace(result, rows=_named(result.rows, job))

    def to_place(self) -> str:
        """How it is reached, as a step is told it: no part of what the step depends on."""
        address, wishes = (dataclasses.asdict(one) for one in (replace(self.address, price=None), self.wishes))
        return json.dumps({"address": address, "wishes": wishes}, default=str)

    @classmethod
    def from_place(cls, place: str, told: Mapping[str, Any]) -> Elsewhere:
        """Read what `to_place` wrote."""
        said = json.loads(place)
        paths = {key: value and Path(value) for key, value in said["wishes"].items() if key in _PATHS}
        wishes = Wishes(**{**said["wishes"], **paths, "delegates": tuple(said["wishes"]["delegates"])})
        return cls(Address(**said["address"]), wishes, told)


def machine_of(said: Mapping[str, Any] | None, place: str) -> Machine:
    """Who measures for a step.

    Args:
        said: What the step is keyed by; None for a budget that is counted.
        place: As of `Elsewhere.to_place`; "" is this machine.
    """
    told = said or {}
    return Elsewhere.from_place(place, told) if place else ThisMachine(told.get("meter"))


def find_target(address: Address, wishes: Wishes, asked: str | None) -> str:
    """The target's name by what a machine says of itself.

    Args:
        address: Which.
        wishes: As of `ask`.
        asked: The target that the user or the recipe names.

    Raises:
        ConfigError: If no budget can be held on such a machine, or by such a tool.
        MeasureError: If it cannot be reached.
    """
    if address.scheme == "trtexec":
        raise ConfigError(
            f"{address.name} is measured by trtexec: TensorRT would run what a budget is held by in ONNX Runtime or "
            "LiteRT; name the board as ssh://..., and its engines with bench run --on trtexec://..."
        )
    with open_target(address, wishes) as target:
        device = target.describe()["device"]
    engine = engine_of_target(asked or "")
    fits = engine is not None and target_of(device, engine.name) == asked
    found = asked if fits and asked is not None else target_of(device, "litert")
    if found not in BUDGET_TARGETS:
        raise ConfigError(f"{address.name} is {device['arch']}: a budget is held on {', '.join(BUDGET_TARGETS)}")
    return found


def ask(address: Address, wishes: Wishes, engine: str, meter: str | None) -> Elsewhere:
    """Let a machine measure a network of a few hundred bytes, and say what it is: what a search there is keyed by.

    Args:
        address: Which.
        wishes: What it measures with.
        engine: That runs the budget's files.
        meter: As `--meter` names it there; None where nobody asks for energy.

    Raises:
        ConfigError: If it has no such meter, or what it needs was not given.
        MeasureError: If it cannot be reached, or the engine does not run there.
    """
    model, spec = next((path, spec) for path, spec in probe_files(engine).items() if spec.precision == "fp32")
    config = replace(_HELLO, meter=meter)
    job = Measurement((Subject("hello", model, spec),), probe_frame()[0], "hello", config)
    with open_target(address, wishes) as target:
        try:
            result = target.run(job, _quiet)
        except MeasureError as err:
            said = f" (asked for --meter {meter}, which a budget in energy_mj needs)" if meter else ""
            raise type(err)(f"{err}{said}") from err
    rows = _named(result.rows, job)
    if rows[0].status != "ok":
        raise MeasureError(f"{ENGINES[engine].short} does not run on {address.name}: {rows[0].reason}")
    version = rows[0].cold.engine if rows[0].cold else None
    told = {
        "device": _device(result.device),
        "engine": version or " ".join(f"{name} {text}" for name, text in result.software.items()),
        "evidence": result.evidence,
        "meter": meter,
        "sensor": result.power.sensor.to_json() if result.power else None,
    }
    if meter is not None and result.power is None:
        raise MeasureError(f"energy_mj cannot be held on {address.name}: {result.no_power}")
    return Elsewhere(address, wishes, json.loads(json.dumps(told)))


def target_of(device: Mapping[str, Any], engine: str) -> str:
    """What a machine that describes itself so is called with an engine, such as `arm64-litert`."""
    return f"{architecture(str(device['arch']))}-{ENGINES[engine].short}"


def _device(said: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in said.items() if key not in _NO_PACE}


def _named(rows: Sequence[Row], job: Measurement) -> tuple[Row, ...]:
    """A phone's rows are `FILE@DELEGATE`; a search asks for one delegate."""
    names = [subject.name for subject in job.subjects]
    found = tuple(replace(row, name=row.name.partition("@")[0]) for row in rows)
    if [row.name for row in found] != names:
        raise ConfigError("a budget is held by one delegate of a phone: name one, such as --delegate cpu")
    return found


def _spec(path: Path, engine: str) -> EngineSpec:
    file = open_file(path, engine, threads=1)
    try:
        return EngineSpec(engine, file.inputs())
    finally:
        file.close()


def _typical_ms(row: Row, layer: str) -> float:
    found = row.distribution("infer")
    ms = row.told_ms if found is None else found.p50
    if ms is None:
        raise MeasureError(f"layers cannot be timed there: {layer}: {row.reason or 'it was not measured'}")
    return ms
