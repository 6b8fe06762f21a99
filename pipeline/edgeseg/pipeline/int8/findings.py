"""What keeps the figures from meaning anything: masks of one class, and answers that have little to do with truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgeseg.runtime.score.image_score import ImageScore

_HARDLY_WORKS = 0.1  # mean Dice of a float network that was probably fed wrongly
_MOSTLY = 0.5
_FED = "Its preprocessing (--scale, --mean, --std, --size) or the order of its classes may be another"


def findings(
    confusion: np.ndarray, int8: Sequence[ImageScore], dice_mean: float | None, classes: tuple[str, ...]
) -> tuple[str, ...]:
    """What a reader must know before any figure, one sentence or two each.

    Args:
        confusion: Pixels of val, (K truth, K answers of the float network).
        int8: Counts of the INT8 file that the search found.
        dice_mean: Mean Dice of the float network.
        classes: Names by id.
    """
    found = []
    n = len(int8)
    if (truth := _only(confusion.sum(axis=1))) is not None:
        found.append(
            f"Every pixel of all {n} val masks is {classes[truth]!r}: nothing can be scored on them. Look at the masks "
            "(inverted, or of another coding?)."
        )
    if (answer := _only(confusion.sum(axis=0))) is not None:
        found.append(f"The float network calls every pixel of all {n} val images {classes[answer]!r}. {_FED}.")
    elif (mixed := _only(sum(one.tp + one.fp for one in int8))) is not None:
        found.append(f"In INT8 the network calls every pixel of all {n} val images {classes[mixed]!r}.")
    if answer is None and truth is None:
        found += _doubts(confusion, dice_mean, classes)
    return tuple(found)


def correspondence(confusion: np.ndarray, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """For each class that the float network answers, the class of the truth that most of its pixels are."""
    rows = []
    for answer, name in enumerate(classes):
        column = confusion[:, answer]
        if column.sum():
            truth = int(column.argmax())
            rows.append({"answer": name, "truth": classes[truth], "share": float(column[truth] / column.sum())})
    return rows


def _doubts(confusion: np.ndarray, dice_mean: float | None, classes: tuple[str, ...]) -> list[str]:
    rows = correspondence(confusion, classes)
    swapped = [
        row for row in rows if row["answer"] != row["truth"] and row["share"] > _MOSTLY and row["answer"] != classes[0]
    ]
    hardly = dice_mean is None or dice_mean < _HARDLY_WORKS
    others = [row for row in swapped if row["truth"] != classes[0]]
    if not hardly and not others:
        return []
    listed = ", ".join(f"{row['answer']} lies on {row['truth']} ({row['share']:.0%})" for row in rows)
    head = "no Dice" if dice_mean is None else f"a mean Dice of {dice_mean:.3f}"
    start = f"The float network itself has {head} on val" if hardly else "Classes seem to be mixed up"
    return [f"{start}. What it answers and what is there: {listed}. {_FED}; losses in INT8 say little."]


def _only(pixels: np.ndarray | int) -> int | None:
    """The one class that has pixels, if no other has any."""
    present = np.flatnonzero(pixels)
    return int(present[0]) if len(present) == 1 else None
