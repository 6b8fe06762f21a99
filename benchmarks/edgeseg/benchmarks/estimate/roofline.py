"""A network's time from its layers: each takes what its arithmetic or its memory takes, whichever is longer.

Reference:
    Williams, Waterman and Patterson, "Roofline", Communications of the ACM 2009.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgeseg.benchmarks.estimate.devices import Peak
from edgeseg.benchmarks.estimate.graph import Layer

# Bytes of a value. Dynamic and 16x8 files keep activations wider than this; their times are FP32's at worst.
_BYTES = {"fp32": 4, "fp16": 2, "int8": 1}
# Of one measured network nobody knows how another one's factor differs: two thirds and one and a half of it.
_ALONE = (0.67, 1.5)
# Of several the farthest seen, and a bit, since the next one was not among them.
_BEYOND = 1.15


@dataclass(frozen=True)
class Estimate:
    """The engine's time for one frame [ms]: no pre- and post-processing in it.

    Attributes:
        name: Of the variant.
        engine: That runs it; the layers are the same in all, so that only what was measured tells engines apart.
        precision: Which the arithmetic was taken of.
        ms: The middle.
        low_ms: With the best shares that are known of such devices.
        high_ms: With the worst.
        bound_by: What takes more of the time: `compute`, `memory` or `layers`.
        calibrated_by: How many measured rows of the device the middle was scaled by.
    """

    name: str
    engine: str
    precision: str
    ms: float
    low_ms: float
    high_ms: float
    bound_by: str
    calibrated_by: int = 0

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON."""
        return {**asdict(self), "evidence": "estimate"}


def network_time(name: str, engine: str, layers: Sequence[Layer], precision: str, peak: Peak, threads: int) -> Estimate:
    """The time of one network in one precision.

    Args:
        name: Of the variant.
        engine: That runs it.
        layers: Of the FP32 graph.
        precision: `fp32`, `fp16` or `int8`; anything else is taken as `fp32`.
        peak: The device.
        threads: Of its cores.
    """
    kind = precision if precision in _BYTES else "fp32"
    worst, best = (_parts(layers, kind, peak, threads, k) for k in (0, 1))
    low, high = best[0] * 1e3, worst[0] * 1e3
    # The middle of what differs by a factor is that of its logarithm.
    return Estimate(name, engine, kind, (low * high) ** 0.5, low, high, max(worst[1], key=lambda part: worst[1][part]))


def calibrated(estimates: Sequence[Estimate], measured: Sequence[tuple[Estimate, float]]) -> list[Estimate]:
    """The same, scaled by how far measured rows of the device lie from their own estimates.

    Rows of the same engine and variant name say most of a file (INT8 of two kinds differs by a factor of two in one
    engine), then those of the same engine and precision, of the same engine, any.

    Args:
        estimates: Of one device.
        measured: Rows of that device, of these networks or of others: their estimate, and the engine's time [ms].
    """
    return [_scaled(one, _factors(one, measured)) for one in estimates] if measured else list(estimates)


def _factors(one: Estimate, measured: Sequence[tuple[Estimate, float]]) -> list[float]:
    same_engine = [row for row in measured if row[0].engine == one.engine]
    same_precision = [row for row in same_engine if row[0].precision == one.precision]
    same_name = [row for row in same_precision if row[0].name == one.name]
    return [ms / estimate.ms for estimate, ms in same_name or same_precision or same_engine or measured]


def _scaled(one: Estimate, factors: Sequence[float]) -> Estimate:
    middle = statistics.geometric_mean(factors)
    spread = (min(factors) / _BEYOND, max(factors) * _BEYOND) if len(factors) > 1 else tuple(f * middle for f in _ALONE)
    ms, low_ms, high_ms = (one.ms * factor for factor in (middle, *spread))
    return dataclasses.replace(one, ms=ms, low_ms=low_ms, high_ms=high_ms, calibrated_by=len(factors))


def _parts(layers: Sequence[Layer], kind: str, peak: Peak, threads: int, k: int) -> tuple[float, dict[str, float]]:
    """The time [s] with the `k`-th of each pair of shares, and how much of it is bound by what."""
    rate, bytes_s = peak.rate(kind, threads) * peak.compute[k], peak.gb_s * 1e9 * peak.memory[k]
    parts = dict.fromkeys(("compute", "memory", "layers"), 0.0)
    for layer in layers:
        compute = 2 * layer.macs / rate
        memory = (layer.activations + layer.weights) * _BYTES[kind] / bytes_s
        parts["compute" if compute > memory else "memory"] += max(compute, memory)
        parts["layers"] += peak.layer_s[k]
    return sum(parts.values()), parts
