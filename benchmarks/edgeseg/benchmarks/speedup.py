"""How many times faster one subject is than another, with an interval that knows where samples come from.

Samples of one process are no independent draws: a process keeps its memory layout and its luck for life. So whole
processes are drawn first, then blocks within them, and samples are never drawn at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# One entry per process, holding one entry per block, holding that block's samples [any one unit], float, shape (n,).
Nested = Sequence[Sequence[npt.NDArray[np.float64]]]

# Two-sided 95 % points of Student's t over those of the normal distribution, by degrees of freedom: with a handful
# of processes the percentile interval is too narrow by about this factor.
_T_OVER_Z = (6.483, 2.195, 1.624, 1.417, 1.312, 1.248, 1.206, 1.177, 1.154, 1.137, 1.123, 1.112, 1.102, 1.094, 1.087)


@dataclass(frozen=True)
class Ratio:
    """``ratio`` = p50 of the reference / p50 of the candidate (2.0: the candidate needs half the time).

    The bounds are ``None`` with a single process, which says nothing about how others would have come out.
    """

    ratio: float
    lo95: float | None
    hi95: float | None
    n_processes: int
    n_blocks: int

    def to_json(self) -> dict[str, float | int | None]:
        """The fields as JSON."""
        return dict(self.__dict__)


def speedup(
    reference: Nested, candidate: Nested, *, paired: bool = True, n_resamples: int = 2000, seed: int = 0
) -> Ratio:
    """The ratio of medians with a hierarchical bootstrap interval.

    Args:
        reference: Samples of the slower or older side.
        candidate: Samples of the other side.
        paired: Both come from one interleaved run. Then process i and block j are drawn for both sides together,
            so that a machine that was slow for a second cancels out. Two files are never paired.
        n_resamples: Number of bootstrap resamples.
        seed: Seed of the resampling; the same samples always give the same interval.

    Returns:
        The ratio of the pooled medians and its 95 % interval.

    Raises:
        ValueError: A side has no samples, or paired sides differ in their number of processes or blocks.

    Reference:
        Kalibera and Jones 2013, "Rigorous benchmarking in reasonable time" (levels of repetition);
        Rao and Wu 1988 (n - 1 draws of n clusters leave the variance unbiased).
    """
    sides = [_Pool(reference), _Pool(candidate)]
    if paired and sides[0].shape != sides[1].shape:
        raise ValueError(f"paired sides differ: {sides[0].shape} and {sides[1].shape} blocks in their processes")
    centre = math.log(sides[0].median() / sides[1].median())
    rng = np.random.default_rng(seed)
    logs = np.empty(n_resamples)
    for i in range(n_resamples):
        first = sides[0].draw(rng)
        second = first if paired else sides[1].draw(rng)
        logs[i] = math.log(sides[0].median(first) / sides[1].median(second))
    low, high = np.quantile(logs, [0.025, 0.975])
    n_processes = min(len(side.shape) for side in sides)
    n_blocks = min(sum(side.shape) for side in sides)
    if n_processes == 1:
        return Ratio(math.exp(centre), None, None, n_processes, n_blocks)
    widen = _widening(n_processes - 1)
    lo95 = math.exp(centre + min(low - centre, 0.0) * widen)
    hi95 = math.exp(centre + max(high - centre, 0.0) * widen)
    return Ratio(math.exp(centre), lo95, hi95, n_processes, n_blocks)


def paired_ratio(reference: Nested, candidate: Nested) -> float:
    """How many times as long as the reference the candidate takes, from blocks that had their turns one after another.

    The ratio of two overall medians is off by as much as the machine's pace changed between the blocks in which each
    median lies. Here every ratio is of two blocks a moment apart, and the median is taken of those. For choosing by; it
    has no interval, which `speedup` has.

    Args:
        reference: Samples of one interleaved run.
        candidate: Those of the other side, with as many processes and blocks.
    """
    pairs = [pair for two in zip(reference, candidate, strict=True) for pair in zip(*two, strict=True)]
    return float(np.median([np.median(second) / np.median(first) for first, second in pairs]))


def _widening(degrees: int) -> float:
    """The factor from a normal to a Student interval."""
    return _T_OVER_Z[degrees - 1] if degrees <= len(_T_OVER_Z) else 1.0 + 1.35 / degrees


class _Pool:
    """All samples of a side in rising order, each knowing its block, so that a resample is a vector of weights."""

    def __init__(self, nested: Nested) -> None:
        self.shape = tuple(len(process) for process in nested)
        blocks = [np.asarray(block, dtype=np.float64) for process in nested for block in process]
        if not blocks or any(block.size == 0 for block in blocks) or 0 in self.shape:
            raise ValueError("every process needs a block and every block a sample")
        values = np.concatenate(blocks)
        order = np.argsort(values, kind="stable")
        self._values = values[order]
        self._block_of = np.repeat(np.arange(len(blocks)), [block.size for block in blocks])[order]

    def draw(self, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """How often each block is in one resample, int64, shape (number of blocks,)."""
        counts = np.zeros(sum(self.shape), dtype=np.int64)
        starts = np.concatenate([[0], np.cumsum(self.shape)])
        n = len(self.shape)
        for process in rng.integers(0, n, size=max(n - 1, 1)):
            size = self.shape[process]
            np.add.at(counts, starts[process] + rng.integers(0, size, size=size), 1)
        return counts

    def median(self, counts: npt.NDArray[np.int64] | None = None) -> float:
        """The nearest-rank median of all samples, each taken as often as ``counts`` says of its block."""
        if counts is None:
            return float(self._values[(self._values.size - 1) // 2])
        cumulative = np.cumsum(counts[self._block_of])
        return float(self._values[np.searchsorted(cumulative, (cumulative[-1] + 1) // 2)])
