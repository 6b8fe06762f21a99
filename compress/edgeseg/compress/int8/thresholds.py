"""Where to cut an activation's range off, from its histogram: percentile, mean squared error, entropy.

A range always holds 0 here (zero padding and ReLU must stay exact), so a side on which there are no values is never
moved. What is cut off saturates at the end of the range, in ONNX Runtime, TensorRT and TFLite alike.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgeseg.compress.int8.histogram import Floats, Histogram

PERCENTILE = 99.99
LEVELS = 256
_TRIALS = 48  # cuts tried on each side
_NARROWEST = 0.1  # of the range seen
_ROUNDS = 2  # of moving one side, then the other
_ABSENT = 1e-7  # probability of what quantisation has lost altogether: KL divergence needs more than 0

Pair = tuple[float, float]


def percentile(histogram: Histogram, seen: Pair) -> Pair:
    """The range without the lowest and the highest 0.01 % of the values.

    Args:
        histogram: Of all values or a sample of them.
        seen: Smallest and largest value, exactly.

    Returns:
        Smallest and largest value to represent, within `seen`.
    """
    reached = np.concatenate([[0.0], np.cumsum(histogram.counts)])
    edges = (histogram.first + np.arange(len(reached))) * histogram.width
    low, high = np.interp(np.array([100 - PERCENTILE, PERCENTILE]) / 100 * reached[-1], reached, edges)
    return _within(low, seen), _within(high, seen)


def least_squares(histogram: Histogram, seen: Pair) -> Pair:
    """The range whose 256 levels have the least mean squared error over the values. Arguments as for `percentile`.

    Reference:
        Banner et al. 2019, arXiv:1810.05723, section 3 (clipping against rounding), here measured on the histogram.
    """
    values, counts = histogram.points()

    def errors(lows: Floats, highs: Floats) -> Floats:
        scale = ((highs - lows) / (LEVELS - 1))[:, None]
        zero = np.rint(-lows[:, None] / scale)
        integers = np.clip(np.rint(values / scale) + zero, 0, LEVELS - 1)
        return np.square((integers - zero) * scale - values) @ counts

    return _search(errors, seen)


def entropy(histogram: Histogram, seen: Pair) -> Pair:
    """The range whose 256 levels lose the least information: Kullback-Leibler divergence. Arguments as above.

    As in TensorRT: the values cut off count at the end of the range in the reference, not in what is compared with it,
    and the bin of 0 is levelled with its neighbour, since zeros are exact whatever the range. TensorRT knows symmetric
    ranges only; here each side is cut by itself.

    Reference:
        Migacz 2017, "8-bit inference with TensorRT", GTC S7310; the same in `onnxruntime.quantization.calibrate`.
    """
    counts = histogram.counts.copy()
    zero = histogram.zero
    beside = [counts[index] for index in (zero - 1, zero + 1) if 0 <= index < len(counts)]
    counts[zero] = min(counts[zero], max(beside, default=0.0))

    def errors(lows: Floats, highs: Floats) -> Floats:
        starts = np.floor(lows / histogram.width).astype(int) + zero
        ends = np.ceil(highs / histogram.width).astype(int) + zero
        # Where the end is the edge of the last bin that holds values, this bin is inside.
        ends = np.where(highs >= seen[1], len(counts), ends)
        pairs = zip(starts, ends, strict=True)
        return np.array([_divergence(counts, max(int(start), 0), int(end)) for start, end in pairs])

    return _search(errors, seen)


def _divergence(counts: Floats, start: int, end: int) -> float:
    """KL divergence between the counts, clipped to [start, end), and the same spread over 256 levels."""
    inside = counts[start:end]
    clipped = inside.copy()
    clipped[0] += counts[:start].sum()
    clipped[-1] += counts[end:].sum()
    levels = np.arange(len(inside)) * LEVELS // len(inside)
    filled = inside > 0
    members = np.bincount(levels, filled)
    means = np.bincount(levels, inside) / np.maximum(members, 1)
    spread = np.where(filled, means[levels], 0.0)
    total = spread.sum()
    if total == 0:
        return np.inf
    known = clipped > 0
    p = clipped[known] / clipped.sum()
    q = np.maximum(spread[known] / total, _ABSENT)
    return float(np.sum(p * np.log(p / q)))


def _search(errors: Callable[[Floats, Floats], Floats], seen: Pair) -> Pair:
    """Move the upper side, then the lower one, in turns, to where the error is least; the widest of equals is taken."""
    low, high = min(seen[0], 0.0), max(seen[1], 0.0)
    shares = np.linspace(1.0, _NARROWEST, _TRIALS)
    sides = [side for side, end in (("high", high), ("low", low)) if end != 0]
    best_low, best_high = low, high
    for _ in range(_ROUNDS if len(sides) == 2 else 1):
        for side in sides:
            lows = low * shares if side == "low" else np.full(_TRIALS, best_low)
            highs = high * shares if side == "high" else np.full(_TRIALS, best_high)
            best = int(errors(lows, highs).argmin())
            best_low, best_high = float(lows[best]), float(highs[best])
    # An end that no value lies beyond 0 of is told as it was seen: [3, 5] stays that, though its levels begin at 0.
    return (best_low if seen[0] < 0 else min(seen[0], best_high)), (
        best_high if seen[1] > 0 else max(seen[1], best_low)
    )


def _within(value: float, seen: Pair) -> float:
    return float(min(max(value, seen[0]), seen[1]))
