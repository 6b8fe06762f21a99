"""Layers timed in turns: each turn is the difference between a file of many copies and a file of one."""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from edgeseg.benchmarks.layers.job import LayerConfig
from edgeseg.benchmarks.timing.clock import Clock
from edgeseg.benchmarks.timing.settle import settle

Report = Callable[[str], None]
# Calls before a turn's timed ones: another layer had the caches.
_REWARM = 2
_LEAST_CALLS, _MOST_CALLS = 3, 200


@dataclass(frozen=True)
class OpenLayer:
    """The two files of one layer, opened, and how many copies the larger has more."""

    few: Callable[[], None]
    many: Callable[[], None]
    extra: int


def time_layers(
    layers: Mapping[str, OpenLayer], config: LayerConfig, seed: int, clock: Clock, report: Report
) -> dict[str, list[float]]:
    """Let every layer have its turn in every round, each round in another order.

    Args:
        layers: By name.
        config: Rounds and length of a turn.
        seed: Of the orders.
        clock: Where the time comes from.
        report: Told the name of each layer just before its turn.

    Returns:
        Milliseconds of each layer by round. Noise may make the time of a tiny layer negative; the median of all rounds
        is what to use.
    """
    names, order = list(layers), np.random.default_rng(seed)
    found: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(config.rounds):
        for index in order.permutation(len(names)):
            name, layer = names[index], layers[names[index]]
            report(name)
            settle(clock, config.settle_cap_s)
            # Whichever is first has the colder caches, so they take turns in that as well.
            sides = (layer.few, layer.many) if turn % 2 == 0 else (layer.many, layer.few)
            times = [time_block(side, config.block_s, clock) for side in sides]
            few, many = times if turn % 2 == 0 else reversed(times)
            found[name].append((many - few) / layer.extra / 1e6)
    return found


def time_block(call: Callable[[], None], block_s: float, clock: Clock) -> float:
    """Median duration of one call [ns], over as many as fit into `block_s`, after untimed ones."""
    gc.disable()
    try:
        for _ in range(_REWARM):
            begin = clock.now_ns()
            call()
            last = clock.now_ns() - begin
        n = round(block_s * 1e9 / max(last, 1))
        durations = []
        for _ in range(min(max(n, _LEAST_CALLS), _MOST_CALLS)):
            begin = clock.now_ns()
            call()
            durations.append(clock.now_ns() - begin)
    finally:
        gc.enable()
    return float(statistics.median(durations))
