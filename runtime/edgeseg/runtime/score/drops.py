"""Drops for a record, of Dice and of regions found; of images without any foreground there is none, no failure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgeseg.runtime.score.image_score import ImageScore
from edgeseg.runtime.score.intervals import paired_bootstrap, recall_bootstrap, seeded_bootstrap

Scores = Sequence[ImageScore]


def dice_drop(reference: Scores, candidate: Scores, budget: float | None) -> dict[str, Any] | None:
    """`mean lo95 hi95 n_images n_groups verdict` of the drop, positive where the candidate is lower.

    Args:
        reference: Its scores.
        candidate: Its scores, of the same images.
        budget: Largest drop that is accepted, as a share; None where none is set.

    Returns:
        None where there is no Dice: no foreground in the truth.

    Raises:
        MeasureError: If the two were not scored on the same images and truth.
    """
    if not _has_dice(reference) or not _has_dice(candidate):
        return None
    return paired_bootstrap(reference, candidate, budget).to_json()


def seeds_drop(pairs: Sequence[tuple[Scores, Scores]]) -> dict[str, Any] | None:
    """As `dice_drop`, of the mean over several trainings, and `n_seeds`.

    Args:
        pairs: Scores of reference and candidate, a pair a seed.

    Returns:
        None without a pair, or where there is no Dice.
    """
    if not pairs or not all(_has_dice(side) for pair in pairs for side in pair):
        return None
    return seeded_bootstrap(pairs, None).to_json() | {"n_seeds": len(pairs)}


def recall_drop(reference: Scores, candidate: Scores, budget: float | None) -> dict[str, Any] | None:
    """As `dice_drop`, of the share of true regions that are found; None where the truth has no region."""
    if not any(len(one.region_iou) for one in reference):
        return None
    return recall_bootstrap(reference, candidate, budget).to_json()


def _has_dice(scores: Sequence[ImageScore]) -> bool:
    return any((one.tp + one.fn)[1:].any() for one in scores)
