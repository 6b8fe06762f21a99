"""Skill on val: what a network is above answers that need no network."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.pipeline.learned.skill import skill_of
from edgeseg.runtime.score.image_score import ImageScore, score_image
from edgeseg.runtime.score.metrics import summarize


def mask(*boxes: tuple[int, int, int], size: int = 20) -> np.ndarray:
    """Rows `first` to `last` of a frame hold a class."""
    found = np.zeros((size, size), np.uint8)
    for class_id, first, last in boxes:
        found[first:last] = class_id
    return found


def scored(pairs: list[tuple[np.ndarray, np.ndarray]], n_classes: int = 2) -> list[ImageScore]:
    return [score_image(pred, truth, n_classes, stem=str(i)) for i, (pred, truth) in enumerate(pairs)]


def test_a_perfect_network_has_1_and_all_foreground_0() -> None:
    truth = mask((1, 0, 4))  # a fifth: all foreground has Dice 2 * 0.2 / 1.2
    perfect = skill_of(scored([(truth, truth)]), ("pit",))
    assert perfect["value"] == pytest.approx(1.0) and perfect["trivial"] == "pit"
    assert perfect["trivial_dice"] == pytest.approx(0.4 / 1.2)
    assert perfect["truth_share"] == pytest.approx({"background": 0.8, "pit": 0.2})
    everywhere = skill_of(scored([(np.ones_like(truth), truth)]), ("pit",))
    assert everywhere["value"] == pytest.approx(0.0)
    nothing = skill_of(scored([(np.zeros_like(truth), truth)]), ("pit",))
    assert nothing["value"] < 0 and nothing["predicted_share"] == {"background": 1.0, "pit": 0.0}


@pytest.mark.parametrize("seed", range(5))
def test_the_trivial_answers_are_those_that_the_scorer_gives(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truths = [rng.choice(4, (12, 12), p=[0.5, 0.3, 0.15, 0.05]).astype(np.uint8) for _ in range(3)]
    dice = [
        summarize(scored([(np.full_like(truth, k), truth) for truth in truths], 4), "abcd")["dice_mean"]
        for k in (1, 2, 3)
    ]
    found = skill_of(scored([(truth, truth) for truth in truths], 4), tuple("bcd"))
    assert found["trivial_dice"] == pytest.approx(max(dice)) and found["trivial"] == "bcd"[int(np.argmax(dice))]


def test_dice_is_that_of_the_row() -> None:
    rng = np.random.default_rng(0)
    pairs = [(rng.integers(0, 3, (9, 9), dtype=np.uint8), rng.integers(0, 3, (9, 9), dtype=np.uint8)) for _ in "ab"]
    scores = scored(pairs, 3)
    assert skill_of(scores, ("x", "y"))["dice"] == pytest.approx(summarize(scores, ("b", "x", "y"))["dice_mean"])


@pytest.mark.parametrize("share", [0, 1], ids=["no foreground", "nothing else"])
@pytest.mark.parametrize("answer", [0, 1])
def test_a_truth_of_one_class_everywhere_says_nothing(share: int, answer: int) -> None:
    truth = np.full((8, 8), share, np.uint8)
    assert skill_of(scored([(np.full_like(truth, answer), truth)]), ("pit",))["value"] is None


def test_counts() -> None:
    found = skill_of(scored([(mask(), mask((1, 0, 2))), (mask(), mask((2, 0, 2))), (mask(), mask())], 4), tuple("pqr"))
    assert found["images_with"] == {"background": 3, "p": 1, "q": 1, "r": 0}
    assert (found["n_images"], found["n_groups"], found["n_positive"]) == (3, 3, 2)
