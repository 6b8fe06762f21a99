"""Drops for a record, and what a fit's file loses where a split has no foreground."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgeseg.pipeline.search.losses import losses
from edgeseg.runtime.errors import MeasureError
from edgeseg.runtime.score.drops import dice_drop, recall_drop
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


def test_a_test_split_without_foreground_ends_no_fit(tmp_path: Path) -> None:
    data = SimpleNamespace(classes=("background", "part"), split=lambda name: name)
    found = {"val": scores(FULL, FULL), "test": scores(EMPTY, EMPTY)}
    target: Any = SimpleNamespace(data=data, score_file=lambda model, spec, split: found[split])
    subject: Any = SimpleNamespace(model=None, spec=None)
    record = losses(target, subject, {"teacher": subject}, tmp_path)
    drops = record["references"]["teacher"]["dice_drop"]
    assert drops["test"] is None and drops["val"]["mean"] == 0.0 and drops["val"]["budget"] == 0.005
    lost = record["references"]["teacher"]["recall_drop"]
    assert lost["test"] is None and lost["val"]["mean"] == 0.0 and lost["val"]["verdict"] == "not worse"
    assert (tmp_path / "scores_test.json").is_file()
