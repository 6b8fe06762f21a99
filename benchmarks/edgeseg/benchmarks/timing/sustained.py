"""A device under load until it is hot: one subject, calls back to back for minutes, with a look at the machine between.

The minutes are blocks like any other, so that latency and energy of each are what they are elsewhere.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.engine_only.stages import EngineStages
from edgeseg.benchmarks.machine.state import MachineState, read_state
from edgeseg.benchmarks.meters.energy import stretch_of
from edgeseg.benchmarks.meters.trace import PowerTrace
from edgeseg.benchmarks.results.samples import Block, Look, ProcessRun
from edgeseg.benchmarks.stats import order_statistic
from edgeseg.benchmarks.subject import Frame, Stages
from edgeseg.benchmarks.timing.clock import Clock
from edgeseg.benchmarks.timing.loop import mask_hash, time_call
from edgeseg.benchmarks.timing.warmup import warm_up
from edgeseg.runtime.errors import MeasureError

# A look costs about a millisecond and falls between two calls.
_LOOK_EVERY_S = 5.0
_COOL_POLL_S, _COOL_MOST_S = 5.0, 1800.0

Report = Callable[[str], None]


def time_sustained(
    name: str, stages: Stages, frame: Frame, config: HarnessConfig, clock: Clock, report: Report
) -> ProcessRun:
    """Call one subject for `config.sustained_s`; its blocks are minutes, or tenths of what is shorter.

    Args:
        name: The subject's, for `report`.
        stages: The subject.
        frame: The test frame.
        config: How long.
        clock: Where the time comes from.
        report: Called with the name before each block, so that the parent knows the worker lives.
    """
    origin = clock.now_ns()
    report(name)
    mask = mask_hash(stages, frame)
    warm = warm_up(
        lambda: sum(time_call(stages, frame, clock)), clock, config.warmup_tolerance, config.process_warmup_cap_s
    )
    looks, blocks = [_look(clock, origin)], []
    start = clock.now_ns()
    while clock.now_ns() - start < config.sustained_s * 1e9:
        report(name)
        blocks.append(_minute(stages, frame, config.sustained_block_s, clock, (origin, looks)))
    return ProcessRun(warm.runs, round(warm.seconds, 3), warm.converged, 0, mask, tuple(blocks), origin, tuple(looks))


def _minute(stages: Stages, frame: Frame, seconds: float, clock: Clock, seen: tuple[int, list[Look]]) -> Block:
    origin, looks = seen
    gc.collect()
    gc.disable()
    calls = []
    begin = now = clock.now_ns()
    try:
        while now - begin < seconds * 1e9:
            calls.append(time_call(stages, frame, clock))
            now = clock.now_ns()
            if now - origin - looks[-1].t_ns >= _LOOK_EVERY_S * 1e9:
                looks.append(_look(clock, origin))
    finally:
        gc.enable()
    end = clock.now_ns()
    looks.append(_look(clock, origin))
    pre, infer, post = zip(*calls, strict=True)
    if isinstance(stages, EngineStages):
        pre = post = ()
    return Block(begin - origin, pre, infer, post, end - origin)


def _look(clock: Clock, origin: int) -> Look:
    state = read_state()
    clocks = state.frequencies_mhz
    return Look(
        clock.now_ns() - origin,
        _hottest(state),
        state.throttle_events,
        state.throttled_flags,
        max(clocks, default=None),
    )


def _hottest(state: MachineState) -> float | None:
    return max(state.temperatures_c.values(), default=None)


def cool_down(
    below_c: float, read: Callable[[], MachineState] = read_state, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Wait until the hottest zone is below a temperature [C], so that runs begin alike.

    Raises:
        MeasureError: The machine tells no temperature, or does not get there in half an hour.
    """
    waited_s = 0.0
    while True:
        hottest = _hottest(read())
        if hottest is None:
            raise MeasureError(
                "--start-below: this machine tells no temperature; leave it out, and say how it was cooled"
            )
        if hottest < below_c:
            return
        if waited_s >= _COOL_MOST_S:
            raise MeasureError(
                f"--start-below {below_c:g}: the hottest zone is still at {hottest:.1f} C after "
                f"{_COOL_MOST_S / 60:.0f} minutes: cool the device, or name a higher temperature"
            )
        sleep(_COOL_POLL_S)
        waited_s += _COOL_POLL_S


def minutes_of(process: ProcessRun, power: PowerTrace | None) -> list[dict[str, Any]]:
    """Latency [ms], power [W] and temperature [C] minute by minute, JSON-able."""
    rows = []
    for k, block in enumerate(process.blocks):
        samples, stretch = np.sort(block.stage_ms("total")), stretch_of(process, k)
        end_ns = block.end_ns if block.end_ns is not None else block.start_ns
        hot = [look.temperature_c for look in process.looks if block.start_ns <= look.t_ns <= end_ns + 1e8]
        rows.append(
            {
                "start_s": (block.start_ns - process.blocks[0].start_ns) / 1e9,
                "p50_ms": order_statistic(samples, 0.5),
                "p90_ms": order_statistic(samples, 0.9),
                "n": int(samples.size),
                "power_w": power.watts(stretch) if power and stretch else None,
                "temperature_c": max((value for value in hot if value is not None), default=None),
            }
        )
    return rows


def sustained_of(process: ProcessRun, power: PowerTrace | None) -> dict[str, Any]:
    """What became of the subject as it got hot, JSON-able: the minutes, the last against the first, throttling."""
    minutes = minutes_of(process, power)
    at_s = time_to_throttle_s(process.looks)
    return {
        "minutes": minutes,
        "p50_last_over_first": minutes[-1]["p50_ms"] / minutes[0]["p50_ms"],
        "throttled": None if at_s is None and not _tells(process.looks) else at_s is not None,
        "time_to_throttle_s": at_s,
    }


def time_to_throttle_s(looks: Sequence[Look]) -> float | None:
    """When the machine first said that it slowed itself down, from the first look on [s]; `None` where it never did."""
    first = looks[0] if looks else None
    for look in looks:
        if first is None:
            break
        more = first.throttle_events is not None and (look.throttle_events or 0) > first.throttle_events
        if more or look.throttled_flags:
            return (look.t_ns - first.t_ns) / 1e9
    return None


def _tells(looks: Sequence[Look]) -> bool:
    return any(look.throttle_events is not None or look.throttled_flags is not None for look in looks)
