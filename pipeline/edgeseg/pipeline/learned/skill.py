"""How much better a network is on val than answers that need no network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeseg.runtime.score.image_score import ImageScore, dice, mean_or_nan

Floats = npt.NDArray[np.float64]


def skill_of(scores: Sequence[ImageScore], foreground: Sequence[str]) -> dict[str, Any]:
    """The skill of a network on val, and what it is made of.

    Args:
        scores: Of val.
        foreground: Names of the classes but the background.

    Returns:
        Plain values for JSON; shares are of all pixels, in [0, 1], by class:

        - `value`: (Dice - best trivial Dice) / (1 - best trivial Dice). 1 is a perfect network, 0 one that is no
          better than its best trivial rival, below 0 a worse one. None where the truth is of one class everywhere,
          so that nothing could be learned.
        - `dice`: its `dice_mean`.
        - `trivial_dice`, `trivial`: of the best answer "every pixel is CLASS", and that class.
        - `truth_share`, `predicted_share`.
        - `images_with`: images whose truth has the class.
        - `n_images`, `n_groups`, `n_positive` (images with foreground).

    Reference:
        The usual form of a skill score, Murphy 1988, Monthly Weather Review 116(12), eq. 1.
    """
    tp, fp, fn = (np.sum([getattr(score, key) for score in scores], axis=0).astype(float) for key in ("tp", "fp", "fn"))
    true = np.array([score.tp + score.fn for score in scores])  # (N, K)
    n_pixels = float(true.sum()) or 1.0
    classes = ("background", *foreground)
    own = mean_or_nan(dice(tp, fp, fn)[1:])
    trivial = [_dice_of_one_class(class_id, tp + fn) for class_id in range(1, len(classes))]
    best = int(np.argmax(trivial))
    mute = np.count_nonzero(tp + fn) < 2
    return {
        "value": None if mute else (own - trivial[best]) / (1.0 - trivial[best]),
        "dice": None if np.isnan(own) else own,
        "trivial_dice": trivial[best],
        "trivial": classes[1 + best],
        "truth_share": dict(zip(classes, ((tp + fn) / n_pixels).tolist(), strict=True)),
        "predicted_share": dict(zip(classes, ((tp + fp) / n_pixels).tolist(), strict=True)),
        "images_with": dict(zip(classes, (true > 0).sum(axis=0).tolist(), strict=True)),
        "n_images": len(scores),
        "n_groups": len({score.group for score in scores}),
        "n_positive": sum(not score.is_negative for score in scores),
    }


def _dice_of_one_class(class_id: int, true: Floats) -> float:
    """`dice_mean` of the answer that every pixel is of one class: 2 p / (1 + p) of it, and 0 of all others."""
    tp, fp = np.zeros_like(true), np.zeros_like(true)
    tp[class_id], fp[class_id] = true[class_id], true.sum() - true[class_id]
    return float(np.nanmean(dice(tp, fp, true - tp)[1:]))
