"""What a layer worker is told: pairs of small model files whose difference in time is a layer's."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeseg.runtime.errors import ConfigError, MeasureError


@dataclass(frozen=True)
class LayerConfig:
    """How much is measured of each layer.

    Attributes:
        threads: Threads given to the engine.
        processes: Fresh processes; a process keeps its memory layout for life and is one draw of it.
        rounds: Times per process that every layer has its turn, in another order each.
        block_s: Measuring time aimed at per turn and file [s].
        settle_cap_s: Longest wait before a turn for threads of the layer before to stop spinning [s].
        timeout_s: A worker silent for longer is ended [s].
    """

    threads: int = 2
    processes: int = 2
    rounds: int = 5
    block_s: float = 0.003
    settle_cap_s: float = 0.1
    timeout_s: float = 120.0

    def __post_init__(self) -> None:
        """Refuse values that would measure nothing.

        Raises:
            ConfigError: A value is out of its range.
        """
        for name in ("threads", "processes", "rounds"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: it must be at least 1")
        if not (self.block_s > 0 and self.timeout_s > 0 and self.settle_cap_s >= 0):
            raise ConfigError(f"block_s and timeout_s must be above 0, settle_cap_s 0 or more: found {self}")


@dataclass(frozen=True)
class LayerFiles:
    """One layer: a file with one copy of it, and one with `extra` copies more.

    Attributes:
        name: What messages and the reply call it.
        few: The smaller file.
        many: The larger file.
        extra: Copies that the larger has more.
    """

    name: str
    few: Path
    many: Path
    extra: int


@dataclass(frozen=True)
class LayerJob:
    """One layer worker's task: the layers, the engine, and how much."""

    backend: str
    layers: tuple[LayerFiles, ...]
    config: LayerConfig
    seed: int = 0

    @property
    def timeout_s(self) -> float:
        """A worker silent for longer is ended [s]."""
        return self.config.timeout_s

    def to_json(self) -> dict[str, Any]:
        """The job as JSON."""
        layers = [{**asdict(one), "few": str(one.few), "many": str(one.many)} for one in self.layers]
        return {"backend": self.backend, "layers": layers, "config": asdict(self.config), "seed": self.seed}

    @classmethod
    def from_json(cls, obj: Any) -> LayerJob:
        """Read what `to_json` wrote.

        Raises:
            MeasureError: A key is missing or has a wrong type.
        """
        try:
            layers = tuple(
                LayerFiles(one["name"], Path(one["few"]), Path(one["many"]), int(one["extra"])) for one in obj["layers"]
            )
            return cls(obj["backend"], layers, LayerConfig(**obj["config"]), int(obj["seed"]))
        except (KeyError, TypeError, ValueError) as error:
            raise MeasureError(f"the layer worker was given a job it cannot read: {error!r}") from error
