"""How much of a difference of Dice, or of regions found, is chance: a paired bootstrap over groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgeseg.runtime.errors import MeasureError
from edgeseg.runtime.score.image_score import ImageScore, dice
from edgeseg.runtime.score.metrics import HIT_IOU
from edgeseg.runtime.score.students_t import widening

Verdict = Literal["not worse", "not shown", "worse"]
Floats = npt.NDArray[np.float64]

_N_RESAMPLES = 2000
# Percentiles over draws of fewer groups lie too near: of two they are the two themselves, which miss the truth every
# other time.
_FEW_GROUPS = 10


@dataclass(frozen=True)
class Drop:
    """A drop of a figure from a reference to a candidate; positive means the candidate is lower.

    Attributes:
        mean: The drop on the images as they are.
        lo95: Lower end of its 95 % interval; None where there are fewer than two groups to draw from.
        hi95: Upper end.
        n_images: Number of images.
        n_groups: Number of groups, the units that were drawn.
        verdict: `not worse` if the whole interval is within the budget, `worse` if it is beyond it, else
            `not shown`; None where there is no budget to judge by.
    """

    mean: float
    lo95: float | None
    hi95: float | None
    n_images: int
    n_groups: int
    verdict: Verdict | None

    def to_json(self) -> dict[str, float | int | str | None]:
        """The fields as a dict for JSON."""
        return asdict(self)


def paired_bootstrap(
    a: Sequence[ImageScore],
    b: Sequence[ImageScore],
    budget: float | None,
    n_resamples: int = _N_RESAMPLES,
    seed: int = 0,
) -> Drop:
    """Interval of the drop of Dice, the mean over the foreground classes in the truth, on the same images.

    Images of one group (part, patient, series) resemble one another, so whole groups are drawn with replacement, the
    same ones for both sides; counts are summed over what was drawn and the percentiles 2.5 and 97.5 are taken.

    Args:
        a: The reference's scores.
        b: The candidate's scores, of the same images in any order.
        budget: Largest drop that is accepted, e.g. 0.01 for one point of Dice; None where none is set.
        n_resamples: Number of draws.
        seed: Seed of the draws.

    Raises:
        MeasureError: The two were not scored on the same images and truth, or no Dice can be computed.

    Reference:
        Efron and Tibshirani 1993, "An Introduction to the Bootstrap", section 13.3 (percentile interval); Field and
        Welsh 2007, "Bootstrapping clustered data", JRSS B 69(3) (drawing whole clusters); Hesterberg 2015, "What
        Teachers Should Know About the Bootstrap", The American Statistician 69(4), section 4 (too narrow with few).
    """
    return seeded_bootstrap([(a, b)], budget, n_resamples, seed)


def seeded_bootstrap(
    pairs: Sequence[tuple[Sequence[ImageScore], Sequence[ImageScore]]],
    budget: float | None,
    n_resamples: int = _N_RESAMPLES,
    seed: int = 0,
) -> Drop:
    """Interval of the mean drop of Dice over several trainings of both sides, each with a seed of its own.

    What a method is worth differs from training to training as it does from image to image, so both are drawn: groups
    of images, the same ones for every training, and pairs of trainings. Deviations of trainings from their mean are
    stretched by sqrt(S / (S - 1)), without which the spread of so few draws would come out too small. With one pair
    this is `paired_bootstrap`: an interval of the two networks, which says nothing of the methods behind them.

    Args:
        pairs: Scores of reference and candidate, a pair a seed, all of the same images.
        budget: Largest drop that is accepted, or None.
        n_resamples: Number of draws.
        seed: Seed of the draws.

    Raises:
        MeasureError: The sides were not scored on the same images and truth, or no Dice can be computed.

    Reference:
        Davison and Hinkley 1997, "Bootstrap Methods and their Application", section 3.8 (hierarchical data).
    """
    sides = [_paired(a, b) for a, b in pairs]
    for a, _ in pairs[1:]:
        _paired(pairs[0][0], a)
    drop = _bootstrap(sides, _foreground_counts, _dice_drops, budget, n_resamples, seed)
    if drop is None:
        raise MeasureError("No foreground in the truth, so no Dice; choose a split that has some")
    return drop


def dice_interval(scores: Sequence[ImageScore]) -> dict[str, float] | None:
    """95 % interval of `dice_mean` itself, over draws of whole groups as in `paired_bootstrap`.

    Args:
        scores: Of a split.

    Returns:
        `lo95 hi95`; None with fewer than two groups to draw from, or where no Dice can be computed.
    """
    found = _bootstrap([[list(scores)]], _foreground_counts, _dice_means, None)
    if found is None or found.lo95 is None or found.hi95 is None:
        return None
    return {"lo95": found.lo95, "hi95": found.hi95}


def recall_bootstrap(a: Sequence[ImageScore], b: Sequence[ImageScore], budget: float | None) -> Drop:
    """Interval of `region_recall(a) - region_recall(b)` on the same images, drawn as in `paired_bootstrap`.

    Args:
        a: The reference's scores.
        b: The candidate's scores, of the same images in any order.
        budget: Largest drop that is accepted, e.g. 0.01 for one region of a hundred; None where none is set.

    Raises:
        MeasureError: The two were not scored on the same images and truth, or the truth has no region.
    """
    drop = _bootstrap([_paired(a, b)], _region_counts, _recall_drops, budget)
    if drop is None:
        raise MeasureError("No region in the truth, so none can be found; choose a split that has some")
    return drop


def _bootstrap(
    pairs: list[list[list[ImageScore]]],
    count: Callable[[ImageScore], Floats],
    drops: Callable[[Floats], Floats],
    budget: float | None,
    n_resamples: int = _N_RESAMPLES,
    seed: int = 0,
) -> Drop | None:
    """The drop of a figure that is made of summed counts; None where there is none on these images.

    Args:
        pairs: From `_paired`, one a training.
        count: One image's counts, shape (kinds, columns).
        drops: From summed counts of shape (2 sides, kinds, R, columns) to R drops, NaN where undefined.
        budget: Largest drop that is accepted, or None.
        n_resamples: Number of draws.
        seed: Seed of the draws.
    """
    images = pairs[0][0]
    names, index = np.unique([score.group for score in images], return_inverse=True)
    members = np.equal.outer(np.arange(len(names)), index).astype(np.float64)  # (G, N)
    counts = [np.asarray([[count(score) for score in side] for side in sides], np.float64) for sides in pairs]
    per_group = [np.einsum("gn,anbk->abgk", members, one, optimize=True) for one in counts]
    observed = float(np.mean([drops(one.sum(axis=2)[:, :, None])[0] for one in per_group]))
    if np.isnan(observed):
        return None
    lo95 = hi95 = None
    if len(names) > 1:
        rng = np.random.default_rng(seed)
        draws = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), n_resamples)
        drawn = np.array([drops(np.einsum("rg,abgk->abrk", draws, one, optimize=True)) for one in per_group])  # (S, R)
        lo95, hi95 = (float(value) for value in np.nanpercentile(_over_seeds(drawn, rng), (2.5, 97.5)))
        wider = widening(len(names) - 1) if len(names) < _FEW_GROUPS else 1.0
        lo95, hi95 = (observed + wider * (end - observed) for end in (lo95, hi95))
    return Drop(observed, lo95, hi95, len(images), len(names), _verdict(lo95, hi95, budget))


def _over_seeds(drawn: Floats, rng: np.random.Generator) -> Floats:
    """Means of drawn trainings, shape (R,), from the drops of each, shape (S, R)."""
    n_seeds, n_resamples = drawn.shape
    mean: Floats = drawn.mean(axis=0)
    if n_seeds == 1:
        return mean
    shares = rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), n_resamples).T / n_seeds  # (S, R)
    means: Floats = mean + np.sqrt(n_seeds / (n_seeds - 1)) * (shares * (drawn - mean)).sum(axis=0)
    return means


def _verdict(lo95: float | None, hi95: float | None, budget: float | None) -> Verdict | None:
    if budget is None:
        return None
    if lo95 is None or hi95 is None:
        return "not shown"
    if hi95 <= budget:
        return "not worse"
    return "worse" if lo95 > budget else "not shown"


def _paired(a: Sequence[ImageScore], b: Sequence[ImageScore]) -> list[list[ImageScore]]:
    """Both sides in the order of their stems, after a check that they can be compared."""
    if not a or {x.stem for x in a} != {x.stem for x in b} or not len(a) == len(b) == len({x.stem for x in a}):
        raise MeasureError(
            f"A difference needs the same images on both sides, each once, found {len(a)} and {len(b)}; score both "
            "on the same split"
        )
    ordered = [sorted(side, key=lambda score: score.stem) for side in (a, b)]
    for left, right in zip(*ordered, strict=True):
        if not np.array_equal(left.tp + left.fn, right.tp + right.fn) or left.group != right.group:
            raise MeasureError(f"{left.stem}: the two sides were scored on different truth or groups; score both again")
    return ordered


def _foreground_counts(score: ImageScore) -> Floats:
    """Pixels, shape (3 kinds: tp, fp, fn; K - 1 classes)."""
    return np.asarray([score.tp[1:], score.fp[1:], score.fn[1:]], np.float64)


def _region_counts(score: ImageScore) -> Floats:
    """Regions of all classes, shape (2 kinds: found, true; 1)."""
    return np.asarray([[np.count_nonzero(score.region_iou >= HIT_IOU)], [len(score.region_iou)]], np.float64)


def _dice_means(counts: Floats) -> Floats:
    """Mean Dice of one side alone from counts of shape (1, 3, R, K - 1); shape (R,), NaN where undefined."""
    return _row_means(_dice_in_truth(counts)[0])


def _dice_drops(counts: Floats) -> Floats:
    """Mean Dice of side 0 minus side 1 from counts of shape (2, 3, R, K - 1); shape (R,), NaN where undefined."""
    left, right = (_row_means(side) for side in _dice_in_truth(counts))
    return left - right


def _dice_in_truth(counts: Floats) -> Floats:
    """Dice by side, draw and class, shape (sides, R, K - 1); NaN where a draw's truth does not have the class.

    It would count as nothing for a side that never names it and as 0 for one that does in a single pixel, so that one
    pixel would be a third of the Dice of three classes. (`dice_mean` of one network alone does count it as 0.)
    """
    per_class = dice(counts[:, 0], counts[:, 1], counts[:, 2])
    return np.where(counts[:, 0] + counts[:, 2] > 0, per_class, np.nan)


def _recall_drops(counts: Floats) -> Floats:
    """`region_recall` of side 0 minus side 1 from counts of shape (2, 2, R, 1); shape (R,), NaN without a region."""
    found, true = counts[:, 0, :, 0], counts[:, 1, :, 0]
    recall = np.full(found.shape, np.nan)
    np.divide(found, true, out=recall, where=true > 0)
    drops: Floats = recall[0] - recall[1]
    return drops


def _row_means(values: Floats) -> Floats:
    known = ~np.isnan(values)
    total = np.where(known, values, 0).sum(axis=1)
    means = np.full(len(values), np.nan)
    np.divide(total, known.sum(axis=1), out=means, where=known.any(axis=1))
    return means
