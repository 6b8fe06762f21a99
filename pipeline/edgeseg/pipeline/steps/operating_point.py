"""The operating point of a network with one output: from which probability on a pixel is foreground, chosen on val."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edgeseg.runtime.frame.postprocess import to_mask
from edgeseg.runtime.score.image_score import ImageScore
from edgeseg.runtime.score.metrics import summarize
from edgeseg.runtime.segmenter import Segmenter
from edgeseg.runtime.spec.model_spec import Decision

Frame = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.uint8]
Objective = Literal["dice", "region_recall"]

# A val split of some hundred regions cannot tell finer steps apart.
VALUES = tuple(tenth / 10 for tenth in range(1, 10))


@dataclass(frozen=True)
class Point:
    """What one threshold gives on val.

    Attributes:
        value: Probability a pixel must exceed.
        dice: Mean Dice over foreground classes; None where val has no foreground.
        region_recall: Share of true regions found; None likewise.
        false_regions: False regions in a frame without foreground; None where val has no such frame.
    """

    value: float
    dice: float | None
    region_recall: float | None
    false_regions: float | None


@dataclass(frozen=True)
class OperatingPoint:
    """Result of the step.

    Attributes:
        status: `ok`; `not measured` where there was no file to try thresholds on.
        reason: Why this one, or why none.
        decision: For every file that is exported after this.
        teacher_recall: Region recall of the teacher on val.
        points: What each of `VALUES` gives.
    """

    status: str
    reason: str | None
    decision: Decision | None = None
    teacher_recall: float | None = None
    points: tuple[Point, ...] = ()


def masks_at(segmenter: Segmenter) -> Callable[[Frame], list[Mask]]:
    """From a frame to its mask at each of `VALUES`; the network, which takes most of the time, runs once.

    Args:
        segmenter: Of a network with one output; its own threshold is not used.
    """
    specs = [dataclasses.replace(segmenter.spec, decision=Decision(value)) for value in VALUES]

    def masks(frame: Frame) -> list[Mask]:
        prepared = segmenter.prepare(frame)
        scores = segmenter.infer(prepared)
        return [to_mask(scores, spec, prepared) for spec in specs]

    return masks


def points_of(rows: Sequence[Sequence[ImageScore]], classes: Sequence[str]) -> list[Point]:
    """What each of `VALUES` gives.

    Args:
        rows: One an image of val, with a score a threshold, in their order.
        classes: Names by id, background first.
    """
    return [_point(value, summarize([row[at] for row in rows], classes)) for at, value in enumerate(VALUES)]


def choose_point(
    points: Sequence[Point], objective: Objective, teacher_recall: float | None, drop: float = 0.0
) -> tuple[Point, str]:
    """The threshold an objective asks for, and why; of equals the one next to 0.5.

    Args:
        points: On val.
        objective: `dice` takes the best Dice; `region_recall` the best Dice among those that find as many regions as
            the teacher at 0.5, less `drop`, or else whatever finds most.
        teacher_recall: Region recall of the teacher on val.
        drop: What `gates.max_region_recall_drop` allows to miss of it. Finding more costs Dice, which is gated too.
    """
    default = min(points, key=lambda one: abs(one.value - 0.5))
    if default.dice is None or default.region_recall is None:
        return default, "val has no foreground to choose a threshold on"
    if objective == "dice" or teacher_recall is None:
        return max(points, key=_by_dice), "the best Dice on val"
    less = f", less the {100 * drop:g} points of gates.max_region_recall_drop" if drop else ""
    asked = f"as many regions on val as the teacher ({teacher_recall:.3f}{less})"
    # Shares of counts: 0.95 - 0.02 is above 0.93 in floating point.
    enough = [one for one in points if (one.region_recall or 0.0) >= teacher_recall - drop - 1e-9]
    if enough:
        return max(enough, key=_by_dice), f"the best Dice among thresholds that find {asked}"
    best = max(points, key=lambda one: (one.region_recall or 0.0, *_by_dice(one)))
    return best, f"no threshold finds {asked}; this one finds most"


def operating_point(
    points: Sequence[Point], objective: Objective, teacher_recall: float | None, drop: float = 0.0
) -> OperatingPoint:
    """The choice as the step's result; arguments as of `choose_point`."""
    chosen, reason = choose_point(points, objective, teacher_recall, drop)
    fitted = chosen.dice is not None
    decision = Decision(chosen.value, "val" if fitted else None, objective if fitted else None)
    return OperatingPoint("ok", reason, decision, teacher_recall, tuple(points))


def _by_dice(point: Point) -> tuple[float, float]:
    return (point.dice or 0.0, -abs(point.value - 0.5))


def _point(value: float, summary: dict[str, Any]) -> Point:
    false_regions = summary["false_regions_per_negative_frame"]
    known = false_regions if isinstance(false_regions, float) else None
    return Point(value, summary["dice_mean"], summary["region_recall"], known)
