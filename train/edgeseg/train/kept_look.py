"""Which look at val is kept: one that its neighbours bear out.

Dice on a small val goes up and down by points from look to look (0.65, 0.86, 0.67 on a set of ours). The best look of
many is then the luckiest one, and its figure is too good by as much. So a look counts as the median of itself and its
two neighbours, and never as more than itself: a single high look weighs nothing, two in a row weigh as the lower one,
and a low one gains nothing by high neighbours. The first and the last look have one neighbour, and count as the lower
of the two. Of equals the later is kept, which a falling learning rate and the average of more steps favour.

The last look alone would be simpler, and on a falling schedule is nearly always what this rule keeps too; but a
training that overfits in its second half would lose what it had.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def kept_look(dice: Sequence[float]) -> int:
    """Index of the look that is kept.

    Args:
        dice: Of at least one look, in order.
    """
    counted = steady(dice)
    return max(range(len(counted)), key=lambda index: (counted[index], index))


def open_looks(dice: Sequence[float]) -> set[int]:
    """Indices of the looks that could still be kept: the last, whose next neighbour is not known, and the best before.

    Args:
        dice: Of the looks so far.
    """
    decided = steady(dice)[:-1]
    best = max(range(len(decided)), key=lambda index: (decided[index], index), default=0)
    return {best, len(dice) - 1} if dice else set()


def steady(dice: Sequence[float]) -> list[float]:
    """What each look counts as.

    Args:
        dice: Of the looks so far, in order; the last one's may still rise with its next neighbour.
    """
    around = (dice[max(0, index - 1) : index + 2] for index in range(len(dice)))
    return [min(own, statistics.median_low(three)) for own, three in zip(dice, around, strict=True)]
