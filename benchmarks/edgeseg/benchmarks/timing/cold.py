"""What only a fresh process can show: loading, the first call, memory."""

from __future__ import annotations

from collections.abc import Callable

from edgeseg.benchmarks.machine.memory import peak_memory_mib
from edgeseg.benchmarks.results.samples import Cold
from edgeseg.benchmarks.subject import Frame, Stages
from edgeseg.benchmarks.timing.clock import Clock
from edgeseg.benchmarks.timing.loop import mask_hash, time_call

# Calls after which the engine's arenas have their final size.
_CALLS = 5


def measure_cold(open_subject: Callable[[], Stages], frame: Frame, clock: Clock) -> Cold:
    """Open, call and open again, in a process that did nothing else before.

    Args:
        open_subject: Loads the model.
        frame: The test frame.
        clock: Where the time comes from.
    """
    baseline = peak_memory_mib()
    t0 = clock.now_ns()
    stages = open_subject()
    load_ns = clock.now_ns() - t0
    engine = stages.engine
    init_memory = peak_memory_mib()
    first_ns = sum(time_call(stages, frame, clock))
    mask = mask_hash(stages, frame)
    for _ in range(_CALLS):
        time_call(stages, frame, clock)
    peak = peak_memory_mib()
    stages.close()
    t0 = clock.now_ns()
    again = open_subject()
    init_ns = clock.now_ns() - t0
    again.close()
    return Cold(
        load_ms=load_ns / 1e6,
        init_ms=init_ns / 1e6,
        first_inference_ms=first_ns / 1e6,
        baseline_mib=_rounded(baseline),
        init_mib=_rounded(init_memory),
        peak_mib=_rounded(peak),
        mask_sha256=mask,
        engine=engine,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
