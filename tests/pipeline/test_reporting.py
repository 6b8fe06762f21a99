"""Which test images the report shows."""

from __future__ import annotations

import numpy as np

from edgeseg.pipeline.steps.reporting import PANELS, WORST, choose_panels
from edgeseg.runtime.image_score import ImageScore, score_image
from edgeseg.runtime.metrics import image_dice


def _score(stem: str, hit_px: int, n_classes: int = 2) -> ImageScore:
    """Truth is a row of ten pixels, of which `hit_px` are found."""
    truth = np.zeros((12, 12), np.uint8)
    truth[3, :10] = 1
    found = np.zeros_like(truth)
    found[3, :hit_px] = 1
    return score_image(found, truth, n_classes, stem=stem, group=stem)


def test_the_worst_four_come_first_and_the_rest_is_spread() -> None:
    scores = [_score(f"s{hit}_{copy}", hit) for hit in range(1, 11) for copy in range(3)]
    worst, others = choose_panels(scores)
    assert (len(worst), len(others)) == (WORST, PANELS - WORST)
    assert [score.stem[:2] for score in worst] == ["s1", "s1", "s1", "s2"]
    dice = [image_dice(score) for score in others]
    assert dice == sorted(dice)
    assert dice[-1] - dice[0] > 0.3


def test_a_small_split_shows_every_image_once() -> None:
    worst, others = choose_panels([_score(f"s{hit}", hit) for hit in (2, 5, 9, 4, 7)])
    assert sorted(score.stem for score in [*worst, *others]) == ["s2", "s4", "s5", "s7", "s9"]


def test_an_image_without_objects_is_no_worst_one() -> None:
    empty = np.zeros((12, 12), np.uint8)
    good = score_image(empty, empty, 2, stem="good")
    worst, others = choose_panels([good, *(_score(f"s{hit}", hit) for hit in (2, 5, 9))])
    assert [score.stem for score in [*worst, *others]] == ["s2", "s5", "s9"]
