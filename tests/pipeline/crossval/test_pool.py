"""Pooled figures against scores made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.pipeline.crossval.pool import figures, joined, sentence
from edgeseg.runtime.score.image_score import ImageScore

CLASSES = ("background", "nerve")


def score(stem: str, tp: int, fp: int, fn: int) -> ImageScore:
    none = np.zeros(0, np.int64)
    counts = [np.array([100, value]) for value in (tp, fp, fn)]
    nan, zero = np.full(2, np.nan), np.zeros(2, np.int64)
    return ImageScore(stem, stem, *counts, nan, none, none, none.astype(float), zero)


def fold(stems: range, lost: int) -> dict[str, list[ImageScore]]:
    """Of 100 pixels an image the teacher finds 80, the student 75, and what ships `lost` fewer than the teacher."""
    found = {"teacher": 80, "student": 75, "shipped": 80 - lost}
    return {name: [score(f"{stem:03}", tp, 0, 100 - tp) for stem in stems] for name, tp in found.items()}


def dice(tp: int) -> float:
    return 2 * tp / (tp + 100)


def test_counts_of_all_folds_are_summed() -> None:
    pooled = figures(joined([fold(range(30), 0), fold(range(30, 40), 40)]), CLASSES, 0.005)
    found = {name: pooled["accuracy"][name]["dice_mean"] for name in ("teacher", "student", "shipped")}
    assert found == pytest.approx({"teacher": dice(80), "student": dice(75), "shipped": 2 * 70 / (70 + 100)})
    drop = pooled["drop"]
    assert drop["mean"] == pytest.approx(dice(80) - dice(70)) and drop["n_images"] == drop["n_groups"] == 40
    assert drop["lo95"] < drop["mean"] < drop["hi95"] and drop["verdict"] == "worse"
    parts = pooled["drop_teacher_student"]["mean"] + pooled["drop_student_shipped"]["mean"]
    assert parts == pytest.approx(drop["mean"]) and pooled["drop_teacher_student"]["verdict"] is None


@pytest.mark.parametrize(
    ("folds", "verdict", "words"),
    [
        ([fold(range(20), 0), fold(range(20, 40), 0)], "not worse", "at most 0.5 points below the teacher"),
        ([fold(range(20), 8), fold(range(20, 40), -8)], "not shown", "these images cannot tell"),
        ([fold(range(20), 9), fold(range(20, 40), 10)], "worse", "more than 0.5 points below the teacher"),
    ],
)
def test_the_verdict_is_of_all_folds_together(folds: list, verdict: str, words: str) -> None:
    pooled = figures(joined(folds), CLASSES, 0.005)
    assert pooled["drop"]["verdict"] == verdict
    said = sentence(pooled, 0.005, 50)
    assert said.startswith(verdict) and words in said and "40 of 50 images in 40 groups" in said


def test_what_cannot_be_said_is_said() -> None:
    assert sentence(None, 0.005, 50).startswith("No fold has a network")
    empty = {name: [score("000", 0, 0, 0)] for name in ("teacher", "student", "shipped")}
    pooled = figures(empty, CLASSES, 0.005)
    assert pooled["drop"] is None and pooled["recall_drop"] is None and "there is no Dice" in sentence(pooled, 0.005, 1)
    one = figures({name: scores[:1] for name, scores in fold(range(1), 0).items()}, CLASSES, 0.005)
    assert one["drop"]["verdict"] == "not shown" and "no interval" in sentence(one, 0.005, 1)
