"""Drops for a record, and what they are where a split has no foreground."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeseg.runtime.errors import MeasureError
from edgeseg.runtime.score.drops import dice_drop, recall_drop, seeds_drop
from edgeseg.runtime.score.image_score import ImageScore, score_image

EMPTY, HALF, FULL = (np.array([[0, 0], row], np.uint8) for row in ([0, 0], [0, 1], [1, 1]))


def scores(mask: np.ndarray, truth: np.ndarray) -> list[ImageScore]:
    return [score_image(mask, truth, 2, stem=stem) for stem in ("a", "b")]


def test_a_drop_is_the_difference_of_dice() -> None:
    drop = dice_drop(scores(FULL, FULL), scores(HALF, FULL), 0.5)
    assert drop is not None and drop["mean"] == pytest.approx(1 / 3) and drop["verdict"] == "not worse"


def test_a_region_that_is_missed_is_a_drop_and_without_any_there_is_none() -> None:
    drop = recall_drop(scores(FULL, FULL), scores(EMPTY, FULL), 0.0)
    assert drop is not None and drop["mean"] == 1.0 and drop["verdict"] == "worse"
    assert recall_drop(scores(HALF, EMPTY), scores(EMPTY, EMPTY), 0.0) is None


@pytest.mark.parametrize(("first", "second"), [(EMPTY, EMPTY), (EMPTY, HALF), (HALF, EMPTY)])
def test_without_foreground_on_either_side_there_is_none(first: np.ndarray, second: np.ndarray) -> None:
    assert dice_drop(scores(first, EMPTY), scores(second, EMPTY), 0.005) is None


def test_other_images_are_no_missing_foreground() -> None:
    with pytest.raises(MeasureError, match="different truth"):
        dice_drop(scores(FULL, FULL), scores(FULL, HALF), None)
    with pytest.raises(MeasureError, match="same images"):
        dice_drop(scores(FULL, FULL), [replace(one, stem=one.stem * 2) for one in scores(FULL, FULL)], None)


def test_a_drop_over_trainings_is_their_mean_and_says_of_how_many() -> None:
    full, half, none = scores(FULL, FULL), scores(HALF, FULL), scores(EMPTY, EMPTY)
    drop = seeds_drop([(full, half), (full, full)])
    assert drop is not None and drop["n_seeds"] == 2 and drop["mean"] == pytest.approx(1 / 6)
    assert seeds_drop([]) is None and seeds_drop([(none, none)]) is None
