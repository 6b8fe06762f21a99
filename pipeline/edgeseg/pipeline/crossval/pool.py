"""The scores of all folds as one: each image once, scored by networks that have not seen it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgeseg.runtime.score.drops import dice_drop, recall_drop
from edgeseg.runtime.score.image_score import ImageScore
from edgeseg.runtime.score.metrics import summarize

# What is scored in each fold: the FP32 teacher and the FP32 student before the cut, in the engine of what ships.
ROWS = ("teacher", "student", "shipped")

Scores = Mapping[str, Sequence[ImageScore]]
Record = dict[str, Any]


def figures(scores: Scores, classes: Sequence[str], max_drop: float) -> Record:
    """Accuracy of each row, and the Dice drops between them; of one fold, or of several joined.

    Args:
        scores: By name of `ROWS`, of the same images.
        classes: Names by id, the background first.
        max_drop: Largest drop of Dice from teacher to shipped that is accepted, as a share.

    Returns:
        `accuracy` by row (see `score.metrics.summarize`); `drop` from teacher to shipped, with its verdict;
        `drop_teacher_student` and `drop_student_shipped`, which say where it comes from; `recall_drop`, of the share of
        true regions that are found, judged by whether it is lower at all. A drop is None where the images hold no
        foreground.
    """
    return {
        "accuracy": {name: summarize(scores[name], classes) for name in ROWS},
        "drop": dice_drop(scores["teacher"], scores["shipped"], max_drop),
        "drop_teacher_student": dice_drop(scores["teacher"], scores["student"], None),
        "drop_student_shipped": dice_drop(scores["student"], scores["shipped"], None),
        "recall_drop": recall_drop(scores["teacher"], scores["shipped"], 0.0),
    }


def joined(folds: Sequence[Scores]) -> dict[str, list[ImageScore]]:
    """The scores of several folds, row by row."""
    return {name: [score for scores in folds for score in scores[name]] for name in ROWS}


def sentence(pooled: Record | None, max_drop: float, n_images: int) -> str:
    """What the pooled figures show and do not, for a reader who sees nothing else."""
    budget = f"{100 * max_drop:g} points"
    if pooled is None:
        return "No fold has a network that could be tested, so nothing can be said."
    drop = pooled["drop"]
    if drop is None:
        return "No image that was tested has foreground, in truth or prediction, so there is no Dice."
    found = {
        "not worse": f"at most {budget} below the teacher, as far as these images go",
        "worse": f"more than {budget} below the teacher",
        "not shown": f"whether it is at most {budget} below the teacher, these images cannot tell",
    }[drop["verdict"]]
    size = f"{drop['n_images']} of {n_images} images in {drop['n_groups']} groups"
    return f"{drop['verdict']}: {found} ({drop_words(drop)}; {size}, each tested once)."


def drop_words(drop: Record) -> str:
    """`drop +0.31 points, 95 % interval -0.12 to +0.74`."""
    low, high = drop["lo95"], drop["hi95"]
    interval = "no interval" if low is None else f"95 % interval {100 * low:+.2f} to {100 * high:+.2f}"
    return f"drop {100 * drop['mean']:+.2f} points, {interval}"
