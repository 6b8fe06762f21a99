"""What a Worker is told, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal, get_args

from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.result import Result

Otherwise = Literal["raise", "reject"]


@dataclass(frozen=True)
class WorkerConfig:
    """How long a Worker waits, how much it lets the engine take, and what becomes of a frame without a mask.

    Attributes:
        deadline_ms: A frame whose mask is not there so long after the call began is late; None waits. Time in which
            another thread has its turn is not counted.
        on_late: `raise` a LateError, or answer with status `late` and decision `reject`.
        on_error: `raise` what went wrong, or answer with status `error` and decision `reject`.
        hang_s: An engine that has worked so long on one frame hangs: it is ended and started again [s].
        start_s: Likewise one that is being opened [s].
        memory_mib: What its process may hold as data of its own (Linux: RLIMIT_DATA) [MiB]; None sets no limit.

    Raises:
        ConfigError: If a value is none of these.
    """

    deadline_ms: float | None = None
    on_late: Otherwise = "raise"
    on_error: Otherwise = "raise"
    hang_s: float = 10.0
    start_s: float = 60.0
    memory_mib: int | None = None

    def __post_init__(self) -> None:
        for name in ("on_late", "on_error"):
            value = getattr(self, name)
            if value not in get_args(Otherwise):
                raise ConfigError(f"{name} is {value!r}; use 'raise' or 'reject'.")
        for name in ("deadline_ms", "hang_s", "start_s", "memory_mib"):
            value = getattr(self, name)
            if value is None and name in ("deadline_ms", "memory_mib"):
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < inf:
                raise ConfigError(f"{name} is {value!r}; give a number above 0.")


@dataclass(frozen=True)
class Counts:
    """What became of a Worker's frames so far: `frames` = `ok` + `late` + `errors`.

    Attributes:
        frames: Frames asked for.
        ok: With a mask, `retried` ones among them.
        late: Without one, since it was not there in time.
        errors: Without one, since the frame or the engine was at fault.
        retried: With a mask at the second try.
        restarts: How often the engine was started again.
    """

    frames: int = 0
    ok: int = 0
    late: int = 0
    errors: int = 0
    retried: int = 0
    restarts: int = 0


@dataclass(frozen=True)
class Answer:
    """What became of one frame.

    Attributes:
        status: `ok`, `late` or `error`.
        result: What was seen; None unless `ok`.
        decision: `reject` unless `ok`; else by the bundle's thresholds where regions were asked for, or None.
        reason: What went wrong, or None.
        tries: How often the engine was given the frame, or was started for it: 1, or 2 after a crash.
        counts: Of all frames up to this one.
    """

    status: Literal["ok", "late", "error"]
    result: Result | None
    decision: Literal["good", "reject"] | None
    reason: str | None
    tries: int
    counts: Counts
