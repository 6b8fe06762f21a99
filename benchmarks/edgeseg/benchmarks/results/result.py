"""The result of a measurement: one row per subject, the machine, and every raw sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median_low
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.engine_only.spec import EngineSpec
from edgeseg.benchmarks.meters.energy import Energy, energy_of, energy_of_told
from edgeseg.benchmarks.meters.trace import PowerTrace
from edgeseg.benchmarks.results.price import Price
from edgeseg.benchmarks.results.samples import STAGES, Cold, ProcessRun
from edgeseg.benchmarks.results.told import Told
from edgeseg.benchmarks.stats import Distribution, describe
from edgeseg.benchmarks.timing.scenario import deadline_of, outcome
from edgeseg.benchmarks.timing.sustained import sustained_of
from edgeseg.runtime.errors import MeasureError

# 2: every row says its evidence; another tool's figures, without samples, have a place (`told`). Reads 1 as well.
SCHEMA_VERSION = 2

Status = Literal["ok", "unsupported", "failed"]
Evidence = Literal["device", "emulated", "replayed", "estimate", "imported"]
Pipeline = Literal["pre + infer + post", "engine only"]
# What a reader must know of numbers that are not a device's.
EVIDENCE_WORDS = {
    "emulated": "it runs there; the times mean nothing",
    "replayed": "a recording of a device, read again",
    "estimate": "computed, not measured",
    "imported": "another tool measured, elsewhere",
}
WHOLE_PIPELINE: Pipeline = "pre + infer + post"
ENGINE_ONLY: Pipeline = "engine only"


@dataclass(frozen=True)
class TestFrame:
    """The one decoded frame everything was timed on: a name without its folder, its pixels' hash, its shape."""

    __test__ = False  # no test case, whatever pytest makes of the name

    name: str
    sha256: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ModelFile:
    """The file that was measured; hash and bytes are of that very file, `None` where another tool measured it."""

    sha256: str | None
    bytes: int | None
    params: int | None = None
    macs: int | None = None


@dataclass(frozen=True)
class Row:
    """What is known of one subject.

    Attributes:
        name: The subject's name.
        status: `ok`; `unsupported` where this machine lacks its engine; `failed` where it broke.
        reason: Why it is not `ok`, else `None`.
        model: The file.
        backend: The engine asked for; `cold.engine` is the one that ran.
        precision: Of the file; `None` where it does not say.
        threads: Given to the engine.
        cold: Load time, first call, memory.
        processes: The samples, one entry per fresh process.
        accuracy: What the bundle says of this file.
        engine_only: What the engine was fed where it was timed alone; `None` in a pipeline.
        told: Another tool's figures in the place of samples, one entry per process.
    """

    name: str
    status: Status
    reason: str | None
    model: ModelFile
    backend: str
    precision: str | None
    threads: int | None
    cold: Cold | None = None
    processes: tuple[ProcessRun, ...] = ()
    accuracy: Mapping[str, object] | None = None
    engine_only: EngineSpec | None = None
    told: tuple[Told, ...] = ()

    @property
    def measured(self) -> bool:
        """Whether there are times, samples or another tool's figures."""
        return bool(self.processes or self.told)

    @property
    def n(self) -> int | None:
        """Calls that the times are of; `None` where there are none, or another tool does not say how many."""
        if self.processes:
            return sum(len(block.infer_ns) for process in self.processes for block in process.blocks)
        known = [one.n for one in self.told if one.n is not None]
        return sum(known) if known and len(known) == len(self.told) else None

    def time_ms(self, name: str) -> float | None:
        """The order statistic `name` of the total [ms]; of another tool its own figure, `p50` its typical time."""
        found = self.distribution()
        if found is not None:
            value: float | None = getattr(found, name)
            return value
        if name == "p50":
            return self.told_ms
        return getattr(self.told[0], name, None) if len(self.told) == 1 else None

    @property
    def told_ms(self) -> float | None:
        """The typical time that another tool told [ms]: of its processes' the median one."""
        typical = [time for one in self.told if (time := one.typical_ms) is not None]
        return median_low(typical) if typical else None

    def nested_ms(self, stage: str = "total") -> list[list[npt.NDArray[np.float64]]]:
        """Samples of a stage [ms] by process and block."""
        return [[block.stage_ms(stage) for block in process.blocks] for process in self.processes]

    def samples_ms(self, stage: str = "total") -> npt.NDArray[np.float64]:
        """All samples of a stage [ms], shape (n,), in the order they were taken."""
        blocks = [block for process in self.nested_ms(stage) for block in process]
        return np.concatenate(blocks) if blocks else np.empty(0)

    def distribution(self, stage: str = "total") -> Distribution | None:
        """Order statistics of a stage [ms], or `None` without samples."""
        if self.engine_only and stage in ("pre", "post"):
            return None
        samples = self.samples_ms(stage)
        return describe(samples) if samples.size else None

    def step_values(self) -> dict[str, Any]:
        """The keys of a report's step row that come from here: `latency_ms` by stage, memory, load, first call.

        Of another tool's figures the engine's time is the total, as in all that times the engine alone.
        """
        latency: dict[str, Any] = {}
        for stage in STAGES:
            found = self.distribution(stage)
            latency[stage] = None if found is None else {"p50": found.p50, "p90": found.p90, "n": found.n}
        if self.told_ms is not None:
            engine = {"p50": self.told_ms, "p90": None, "n": sum(one.n or 0 for one in self.told)}
            latency |= {"infer": engine, "total": engine}
        return {
            "latency_ms": latency if self.processes or self.told_ms is not None else None,
            "peak_memory_mib": self.cold.peak_mib if self.cold else None,
            "load_ms": self.cold.load_ms if self.cold else None,
            "first_inference_ms": self.cold.first_inference_ms if self.cold else None,
        }


@dataclass(frozen=True)
class Caution:
    """Something that weakens the numbers: which check, of which subject (`None` = the machine), what to do."""

    check: str
    subject: str | None
    message: str
    remedy: str


@dataclass(frozen=True)
class BenchResult:
    """One measurement.

    Attributes:
        created: Date and time, UTC, ISO 8601.
        evidence: Where the numbers come from; `device` = measured on the machine of `device`.
        config: The settings; `None` where another tool measured.
        frame: The test frame; `None` where engines were timed alone, each on made-up inputs.
        device: The machine (`environment.Device` as JSON).
        software: Versions.
        before: The machine's state before, as JSON.
        after: The machine's state after, as JSON.
        duration_s: Wall time of the whole measurement [s].
        rows: One per subject, in the order they were given.
        warnings: What weakens the numbers.
        power: Every reading of the power meter, `None` without one.
        no_power: Why there is none.
        price: What the device costs; None where nobody says.
    """

    created: str
    evidence: Evidence
    config: HarnessConfig | None
    frame: TestFrame | None
    device: Mapping[str, Any]
    software: Mapping[str, str]
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    duration_s: float
    rows: tuple[Row, ...]
    warnings: tuple[Caution, ...] = ()
    power: PowerTrace | None = None
    no_power: str = "no power meter was named"
    price: Price | None = None

    @property
    def pipeline(self) -> Pipeline:
        """What a total is the time of."""
        return ENGINE_ONLY if self.frame is None else WHOLE_PIPELINE

    def energy(self, row: Row) -> Energy | str:
        """The energy per inference of one of the rows, or the reason why there is none."""
        if self.power is None:
            return self.no_power
        if row.processes:
            return energy_of(row.processes, self.power)
        return energy_of_told(row.told, self.power) if row.told else "nothing was measured"

    def cost(self, row: Row) -> float | str:
        """What an inference of one of the rows costs, or the reason why that is not told."""
        if self.price is None:
            return "no price list was given"
        found, energy = row.distribution(), self.energy(row)
        ms = found.p50 if found else row.told_ms
        return self.price.cost(ms, energy if isinstance(energy, str) else energy.gross_mj)

    @property
    def cost_assumption(self) -> str | None:
        """What the costs take for granted; None without a price list. Energy that is no device's says so here, too."""
        if self.price is None:
            return None
        weak = self.price.kwh is not None and self.energy_evidence != "device"
        return f"{self.price.assumption}{f' ({self.energy_evidence}: no energy of this device)' if weak else ''}"

    @property
    def energy_evidence(self) -> Evidence:
        """Where energies come from: what is measured by a recording, or by a meter's file, is no more than that."""
        own = self.evidence
        return self.power.sensor.evidence if self.power is not None and own == "device" else own

    def scenario_values(self, row: Row) -> dict[str, Any]:
        """The keys `scenario` and `deadline` of a row, JSON-able."""
        if not row.processes or self.config is None:
            return {"scenario": None, "deadline": None}
        found = outcome(self.config.scenario, row.processes)
        if self.config.scenario == "sustained":
            found |= sustained_of(row.processes[0], self.power)
        late = deadline_of(row.samples_ms(), self.config.deadline_ms) if self.config.deadline_ms else None
        return {"scenario": found, "deadline": late.to_json() if late else None}

    def row(self, name: str) -> Row:
        """The row of that name.

        Raises:
            MeasureError: There is none.
        """
        for row in self.rows:
            if row.name == name:
                return row
        known = ", ".join(row.name for row in self.rows)
        raise MeasureError(f"no row is named {name!r}; this result has {known}")

    def with_warnings(self, warnings: tuple[Caution, ...]) -> BenchResult:
        """The same result with these warnings."""
        return replace(self, warnings=warnings)
