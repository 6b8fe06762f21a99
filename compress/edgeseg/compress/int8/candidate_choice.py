"""Which INT8 candidate is taken: not the luckiest on a few dozen images, but the one that reproduces the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from edgeseg.runtime.score.image_score import ImageScore
from edgeseg.runtime.score.intervals import Drop, paired_bootstrap

# Agreement that differs by less than this (0.1 point of Dice) counts as equal: the simpler candidate is taken.
SAME_AGREEMENT = 1e-3

Name = TypeVar("Name")


@dataclass(frozen=True)
class Evidence:
    """What a candidate's masks on the scored images show.

    Attributes:
        scores: Against the truth, one an image.
        dice: Mean foreground Dice of these; None where no class is in truth or masks.
        agreement: Mean foreground Dice between its masks and the FP32 file's, [0, 1].
    """

    scores: Sequence[ImageScore]
    dice: float | None
    agreement: float


@dataclass(frozen=True)
class Choice(Generic[Name]):
    """What was taken, and why each other one was not.

    Attributes:
        taken: The candidate that is used.
        best: The one of best Dice, which the others are held against.
        drops: How far each other's Dice is below the best one's; None for itself, and where there is no Dice.
        told_apart: Whether that drop's interval excludes zero.
        reasons: Of every one but the taken.
    """

    taken: Name
    best: Name
    drops: Mapping[Name, Drop | None]
    told_apart: Mapping[Name, bool]
    reasons: Mapping[Name, str]


def choose(found: Mapping[Name, Evidence]) -> Choice[Name]:
    """Take the candidate whose masks agree best with FP32's, among those whose Dice cannot be told from the best.

    With 30 images a difference of 0.3 points of Dice is luck: the best of eight is then mostly the luckiest. What
    INT8 is asked for is to reproduce the FP32 network. Agreement measures that by itself: mask is compared with mask,
    so the network's own errors, which make most of the spread of Dice, cancel.

    Args:
        found: At least one, the simplest first. All scored on the same images.
    """
    best = max(found, key=lambda name: -1.0 if (dice := found[name].dice) is None else dice)
    drops = {name: None if name == best else _drop(found[best], one) for name, one in found.items()}
    told_apart = {name: drop is not None and drop.lo95 is not None and drop.lo95 > 0 for name, drop in drops.items()}
    alike = [name for name in found if not told_apart[name]]
    highest = max(found[name].agreement for name in alike)
    taken = next(name for name in alike if found[name].agreement >= highest - SAME_AGREEMENT)
    reasons = {}
    for name, one in found.items():
        if told_apart[name]:
            reasons[name] = "its Dice is shown to be below the best"
        elif one.agreement < highest - SAME_AGREEMENT:
            reasons[name] = "agrees less with FP32"
        elif name != taken:
            reasons[name] = "agrees as well with FP32, but is less simple"
    return Choice(taken, best, drops, told_apart, reasons)


def _drop(best: Evidence, other: Evidence) -> Drop | None:
    if best.dice is None or other.dice is None:
        return None
    return paired_bootstrap(best.scores, other.scores, None)
