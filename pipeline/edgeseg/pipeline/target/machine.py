"""Who measures for a search: this machine, or one elsewhere (`elsewhere.py`), and by which meter."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.harness import measure
from edgeseg.benchmarks.layers.job import LayerConfig, LayerFiles
from edgeseg.benchmarks.layers.worker import measure_layers
from edgeseg.benchmarks.machine.environment import read_device
from edgeseg.benchmarks.machine.evidence import evidence_here
from edgeseg.benchmarks.machine.others import quietly
from edgeseg.benchmarks.meters import CSV, known_meter, open_meter
from edgeseg.benchmarks.results.result import BenchResult
from edgeseg.benchmarks.subject import Frame, Subject
from edgeseg.runtime.engines import ENGINES, installed_version
from edgeseg.runtime.errors import ConfigError, MeasureError
from edgeseg.runtime.opening.selection import target_name

# Goes up when what `layers_ms` returns means something else: cached layers of before are then not used any more.
METHOD = "layers-2"
# An energy needs 10 s and 20 readings within the blocks; slow sensors make one a second, so blocks are long [s].
METERED_S = 30.0


def metered(config: HarnessConfig, meter: str | None) -> HarnessConfig:
    """The settings with a meter, and long enough for it: about a minute a network with the idle times around."""
    if meter is None:
        return config
    return dataclasses.replace(config, meter=meter, blocks=1, seconds=max(config.seconds, METERED_S))


class Machine(Protocol):
    """A machine that measures."""

    @property
    def meter(self) -> str | None:
        """What `--meter` names; None where nobody asks for energy."""

    @property
    def evidence(self) -> str:
        """What its numbers are: `device`, `emulated` or `replayed`."""

    @property
    def engine_alone(self) -> bool:
        """Whether another tool times one call of the engine there, and no pipeline: a frame in tiles is many calls."""

    def sensor(self) -> Mapping[str, Any] | None:
        """What measures energy there, as `meters.contract.Sensor` in JSON; None without a meter.

        Raises:
            ConfigError: If there is none, with the meter's own reason.
        """

    def check(self, target: str, engine: str) -> None:
        """Make sure that times taken there are the target's.

        Raises:
            MeasureError: If it is another machine.
        """

    def identity(self, engine: str) -> str:
        """Device, engine version, and how layers are measured there."""

    def layers_ms(self, engine: str, files: Sequence[LayerFiles], config: LayerConfig) -> list[float]:
        """See `compress.search.probe.Probe.layers_ms`."""

    def measure(
        self, subjects: Sequence[Subject], frame: Frame, config: HarnessConfig
    ) -> tuple[BenchResult, float | None]:
        """Whole pipelines in turns, and the share of the CPUs that others took; None where that is not told."""


@dataclass(frozen=True)
class ThisMachine:
    """The machine that runs the chain; see `Machine`."""

    meter: str | None = None

    @property
    def evidence(self) -> str:
        """What numbers taken here are."""
        return evidence_here()

    @property
    def engine_alone(self) -> bool:
        """Pipelines are timed here."""
        return False

    def sensor(self) -> Mapping[str, Any] | None:
        """What measures energy here."""
        if self.meter is None:
            return None
        if known_meter(self.meter) == CSV:
            raise ConfigError("--meter csv is read once, after one measurement, and a search takes many: leave it out")
        try:
            meter = open_meter(self.meter)
        except MeasureError as err:
            raise ConfigError(f"energy_mj cannot be held here: {err}; or limit latency_ms instead") from err
        meter.close()
        return meter.sensor.to_json()

    def check(self, target: str, engine: str) -> None:
        """Refuse a target of another architecture."""
        if target_name(engine) != target:
            here = ", ".join(target_name(name) for name in ENGINES)
            raise MeasureError(
                f"target {target} is another machine; this one is {here}. Name it with --on, or measure it there."
            )

    def identity(self, engine: str) -> str:
        """Processor and engine."""
        device = read_device()
        version = " ".join(installed_version(engine) or (engine,))
        cpu = f"{device.cpu_model or device.arch} ({' '.join(device.cpu_flags)}; {device.usable_cpus} CPUs)"
        return f"{cpu} | {version}"

    def layers_ms(self, engine: str, files: Sequence[LayerFiles], config: LayerConfig) -> list[float]:
        """In fresh processes; again while others disturb it."""
        return quietly(lambda: measure_layers(engine, files, config))[0]

    def measure(
        self, subjects: Sequence[Subject], frame: Frame, config: HarnessConfig
    ) -> tuple[BenchResult, float | None]:
        """By the harness of `bench run`; again while others disturb it."""
        return quietly(lambda: measure(list(subjects), frame, config))
