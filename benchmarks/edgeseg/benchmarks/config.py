"""The settings of one measurement; each has a flag of the same name in `bench run`."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path

from edgeseg.benchmarks.timing.scenario import SCENARIOS
from edgeseg.runtime.errors import ConfigError


@dataclass(frozen=True)
class HarnessConfig:
    """How much is measured, and how long to wait for a machine to calm down.

    Attributes:
        threads: Threads given to the engine.
        processes: Fresh worker processes the samples are spread over; below five nothing is said about another run.
        blocks: Blocks per subject and process; the blocks of all subjects take turns, A B A B.
        seconds: Measuring time aimed at per subject over all processes, without warm-up [s].
        min_samples: Samples per subject over all processes even where they take longer than `seconds`.
        warmup_tolerance: Warm-up ends when the last three medians lie within this ratio.
        warmup_cap_s: Warm-up of one subject never takes longer, all processes together [s].
        rewarm: Untimed calls at the start of a block, after another subject had the caches.
        settle_cap_s: Longest wait for an engine's idle threads to stop spinning before a block [s].
        pause_s: Idle time before each process, for a device that gets hot [s].
        timeout_s: A worker silent for longer is ended and its subject is a failed row [s].
        meter: What measures the energy: `auto`, or a meter's NAME or NAME:WHICH; `None` = nothing does.
        scenario: What the samples are taken for; `sustained` takes one process a subject instead of turns.
        sustained_s: How long `sustained` lasts [s].
        start_below_c: `sustained` waits until the hottest zone is below this [C]; `None` does not wait.
        quick: Measured for a look alone, which the result says.
        deadline_ms: What a call may take, for counting those that took longer [ms]; `None` does not count.
        idle_s: How long the meter reads the idle machine before and after, and at least 20 readings [s].
        cold: Begin with a fresh process per subject, for load time, first call and memory.
    """

    threads: int = 2
    processes: int = 5
    blocks: int = 8
    seconds: float = 10.0
    min_samples: int = 120
    warmup_tolerance: float = 0.02
    warmup_cap_s: float = 30.0
    rewarm: int = 3
    settle_cap_s: float = 0.5
    pause_s: float = 0.0
    timeout_s: float = 300.0
    meter: str | None = None
    idle_s: float = 5.0
    scenario: str = "single-stream"
    sustained_s: float = 600.0
    start_below_c: float | None = None
    deadline_ms: float | None = None
    quick: bool = False
    cold: bool = True

    def __post_init__(self) -> None:
        """Refuse values that would measure nothing.

        Raises:
            ConfigError: A value is out of its range.
        """
        for name in ("threads", "processes", "blocks", "min_samples"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: it must be at least 1")
        for name in ("seconds", "timeout_s", "warmup_tolerance", "sustained_s"):
            if not getattr(self, name) > 0 or not math.isfinite(getattr(self, name)):
                raise ConfigError(f"{name} is {getattr(self, name)}: it must be above 0")
        for name in ("warmup_cap_s", "rewarm", "settle_cap_s", "pause_s", "idle_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} is {getattr(self, name)}: it must be 0 or more")

        if self.scenario not in SCENARIOS:
            raise ConfigError(f"scenario is {self.scenario!r}: it is one of {', '.join(SCENARIOS)}")
        if self.deadline_ms is not None and not 0 < self.deadline_ms < math.inf:
            raise ConfigError(f"deadline_ms is {self.deadline_ms}: it must be above 0")

    @property
    def sustained_block_s(self) -> float:
        """A block of `sustained`: a minute, or a tenth of what is shorter than ten [s]."""
        return min(60.0, self.sustained_s / 10)

    @property
    def block_s(self) -> float:
        """Measuring time aimed at per block [s]."""
        return self.seconds / (self.processes * self.blocks)

    @property
    def min_block_samples(self) -> int:
        """Samples every block takes at least, in whole queries."""
        calls = SCENARIOS[self.scenario].calls
        return math.ceil(self.min_samples / (self.processes * self.blocks) / calls) * calls

    @property
    def process_warmup_cap_s(self) -> float:
        """The share of `warmup_cap_s` that one process has [s]."""
        return self.warmup_cap_s / self.processes

    def to_json(self) -> dict[str, float | int | str | None]:
        """The fields as JSON; of a meter's file its name alone, since results are passed on."""
        name, _, which = (self.meter or "").partition(":")
        return {**asdict(self), "meter": (f"{name}:{Path(which).name}" if which else name) or None}


def quick(threads: int = 2) -> HarnessConfig:
    """Enough for a report made in passing: about 3 s a subject, still spread over five processes."""
    return HarnessConfig(threads=threads, blocks=5, seconds=2.5, min_samples=75, warmup_cap_s=10.0)
