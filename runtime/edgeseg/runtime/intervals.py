"""How much of a Dice difference is chance: a paired bootstrap over groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgeseg.runtime.errors import MeasureError
from edgeseg.runtime.image_score import ImageScore, dice

Verdict = Literal["not worse", "not shown", "worse"]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class DiceDifference:
    """A drop of ``dice_mean`` from a reference to a candidate; positive means the candidate is lower.

    Attributes:
        mean: The drop on the images as they are.
        lo95: Lower end of its 95 % interval; None where there are fewer than two groups to draw from.
        hi95: Upper end.
        n_images: Number of images.
        n_groups: Number of groups, the units that were drawn.
        verdict: ``not worse`` if the whole interval is within the budget, ``worse`` if it is beyond it, else
            ``not shown``; None where there is no budget to judge by.
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
    a: Sequence[ImageScore], b: Sequence[ImageScore], budget: float | None, n_resamples: int = 2000, seed: int = 0
) -> DiceDifference:
    """Interval of ``dice_mean(a) - dice_mean(b)`` on the same images.

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
        Welsh 2007, "Bootstrapping clustered data", JRSS B 69(3) (drawing whole clusters).
    """
    counts, groups = _paired_counts(a, b)  # (2, 3, N, K-1)
    names, index = np.unique(groups, return_inverse=True)
    members = np.equal.outer(np.arange(len(names)), index).astype(np.float64)  # (G, N)
    per_group = np.einsum("gn,abnk->abgk", members, counts, optimize=True)
    observed = float(_drops(counts.sum(axis=2)[:, :, None])[0])
    if np.isnan(observed):
        raise MeasureError("No foreground in truth or prediction, so no Dice; choose a split that has some")
    lo95 = hi95 = None
    if len(names) > 1:
        draws = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), n_resamples)
        drops = _drops(np.einsum("rg,abgk->abrk", draws, per_group, optimize=True))
        lo95, hi95 = (float(value) for value in np.nanpercentile(drops, (2.5, 97.5)))
    return DiceDifference(observed, lo95, hi95, len(groups), len(names), _verdict(lo95, hi95, budget))


def _verdict(lo95: float | None, hi95: float | None, budget: float | None) -> Verdict | None:
    if budget is None:
        return None
    if lo95 is None or hi95 is None:
        return "not shown"
    if hi95 <= budget:
        return "not worse"
    return "worse" if lo95 > budget else "not shown"


def _paired_counts(a: Sequence[ImageScore], b: Sequence[ImageScore]) -> tuple[Floats, list[str]]:
    """Foreground counts, shape (2 sides, 3 kinds, N images, K - 1 classes), and the group of every image."""
    if not a or {x.stem for x in a} != {x.stem for x in b} or not len(a) == len(b) == len({x.stem for x in a}):
        raise MeasureError(
            f"A difference needs the same images on both sides, each once, found {len(a)} and {len(b)}; score both "
            "on the same split"
        )
    ordered = [sorted(side, key=lambda score: score.stem) for side in (a, b)]
    for left, right in zip(*ordered, strict=True):
        if not np.array_equal(left.tp + left.fn, right.tp + right.fn) or left.group != right.group:
            raise MeasureError(f"{left.stem}: the two sides were scored on different truth or groups; score both again")
    counts = [[[getattr(score, kind)[1:] for score in side] for kind in ("tp", "fp", "fn")] for side in ordered]
    return np.asarray(counts, np.float64), [score.group for score in ordered[0]]


def _drops(counts: Floats) -> Floats:
    """``dice_mean`` of side 0 minus side 1 from counts of shape (2, 3, R, K - 1); shape (R,), NaN where undefined."""
    per_class = dice(counts[:, 0], counts[:, 1], counts[:, 2])  # (2, R, K - 1)
    left, right = (_row_means(side) for side in per_class)
    return left - right


def _row_means(values: Floats) -> Floats:
    known = ~np.isnan(values)
    total = np.where(known, values, 0).sum(axis=1)
    means = np.full(len(values), np.nan)
    np.divide(total, known.sum(axis=1), out=means, where=known.any(axis=1))
    return means
