"""Which images a network did worst on: by what an inspector would count, not by Dice.

Dice of a good part with three false pixels is 0, as it is of a missed defect.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgeseg.runtime.score.image_score import ImageScore
from edgeseg.runtime.score.metrics import HIT_IOU


@dataclass(frozen=True, order=True)
class Faults:
    """What is wrong with one mask; the greater, the worse: first by `missed`, then `false`, then `wrong_px`.

    Attributes:
        missed: True regions that no predicted region of their class hits (IoU >= 0.1).
        false: Predicted regions beyond those that are hit, class by class: a region in crumbs counts them.
        wrong_px: Pixels of another class than in the truth.
    """

    missed: int
    false: int
    wrong_px: int


def faults_of(score: ImageScore) -> Faults:
    """Count the faults of one image's mask."""
    hit = score.region_iou >= HIT_IOU
    false = 0
    for class_id, n_predicted in enumerate(score.n_predicted_regions.tolist()):
        n_hit = int((hit & (score.region_class == class_id)).sum())
        false += max(0, n_predicted - n_hit)
    return Faults(int((~hit).sum()), false, int(score.fp.sum()))
