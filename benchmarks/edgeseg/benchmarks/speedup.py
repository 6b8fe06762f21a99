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

from edgeseg.runtime.score.students_t import widening

# One entry per process, holding one entry per block, holding that block's samples [any one unit], float, shape (n,).
Nested = Sequence[Sequence[npt.NDArray[np.float64]]]


@dataclass(frozen=True)
class Ratio:
    """`ratio` = time of the reference / time of the candidate (2.0: the candidate needs half the time).

    The bounds are `None` with a single process, which says nothing about how others would have come out.
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
    reference: Nested,
    candidate: Nested,
    *,
    paired: bool = True,
    share: float = 0.5,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Ratio:
    """How many times as long the reference takes, with a hierarchical bootstrap interval.

    Two sides that took turns in one run are held against each other round by round: each ratio is of the medians of
    two blocks of one round, seconds apart, and the median is taken of those. The ratio of two overall medians would
    be off by as much as the machine's pace changed between the blocks in which each median lies. Two files have no
    round in common, so that only their overall medians can be compared.

    Args:
        reference: Samples of the slower or older side.
        candidate: Samples of the other side.
        paired: Both come from one interleaved run. Two files are never paired.
        share: Which order statistic of a block stands for it: 0.5 its median, 0.9 its p90. Paired sides only.
        n_resamples: Number of bootstrap resamples.
        seed: Seed of the resampling; the same samples always give the same interval.

    Returns:
        The ratio and its 95 % interval.

    Raises:
        ValueError: A side has no samples, or paired sides differ in their number of processes or blocks.

    Reference:
        Kalibera and Jones 2013, "Rigorous benchmarking in reasonable time" (levels of repetition);
        Rao and Wu 1988 (n - 1 draws of n clusters leave the variance unbiased).
    """
    sides = [_Pool(_block_ratios(reference, candidate, share))] if paired else [_Pool(reference), _Pool(candidate)]
    centre = _log_ratio([side.median() for side in sides])
    rng = np.random.default_rng(seed)
    logs = [_log_ratio([side.median(side.draw(rng)) for side in sides]) for _ in range(n_resamples)]
    low, high = np.quantile(logs, [0.025, 0.975])
    n_processes = min(len(side.shape) for side in sides)
    n_blocks = min(sum(side.shape) for side in sides)
    if n_processes == 1:
        return Ratio(math.exp(centre), None, None, n_processes, n_blocks)
    widen = widening(n_processes - 1)
    lo95 = math.exp(centre + min(low - centre, 0.0) * widen)
    hi95 = math.exp(centre + max(high - centre, 0.0) * widen)
    return Ratio(math.exp(centre), lo95, hi95, n_processes, n_blocks)


def paired_ratio(reference: Nested, candidate: Nested) -> float:
    """The ratio of `speedup` for two sides of one interleaved run, without its interval: for choosing by.

    Raises:
        ValueError: As `speedup` does.
    """
    return _Pool(_block_ratios(reference, candidate)).median()


def _block_ratios(reference: Nested, candidate: Nested, share: float = 0.5) -> Nested:
    """Each block's ratio of medians, or of another order statistic, as the one sample of that block."""
    first, second = _block_values(reference, share), _block_values(candidate, share)
    shapes = [[len(process) for process in side] for side in (first, second)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"paired sides differ: {shapes[0]} and {shapes[1]} blocks in their processes")
    return [[np.array([a / b]) for a, b in zip(*pair, strict=True)] for pair in zip(first, second, strict=True)]


def _block_values(side: Nested, share: float) -> list[list[float]]:
    _check(side)
    return [[float(np.quantile(block, share)) for block in process] for process in side]


def _check(side: Nested) -> None:
    if not side or not all(process and all(np.size(block) for block in process) for process in side):
        raise ValueError("every process needs a block and every block a sample")


def _log_ratio(medians: Sequence[float]) -> float:
    """Of one median, which is a ratio already, or of the reference's and the candidate's."""
    return math.log(medians[0]) - sum(math.log(median) for median in medians[1:])


class _Pool:
    """All samples of a side in rising order, each knowing its block, so that a resample is a vector of weights."""

    def __init__(self, nested: Nested) -> None:
        _check(nested)
        self.shape = tuple(len(process) for process in nested)
        blocks = [np.asarray(block, dtype=np.float64) for process in nested for block in process]
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
        """The median of all samples, each taken as often as `counts` says of its block (`None`: once).

        Of an even number it is the geometric mean of the middle two, so that swapped sides give the inverse.
        """
        weights = np.ones(self._values.size, dtype=np.int64) if counts is None else counts[self._block_of]
        cumulative = np.cumsum(weights)
        middle = [(cumulative[-1] + 1) // 2, cumulative[-1] // 2 + 1]
        low, high = self._values[np.searchsorted(cumulative, middle)]
        return float(np.sqrt(low * high))
