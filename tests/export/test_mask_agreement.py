"""Figures of two files' masks against each other."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.export.mask_agreement import Masks, compare_pairs
from edgeseg.runtime.png import PackedMasks
from edgeseg.runtime.score.image_score import score_image


def masks(first: int = 0, end: int = 0, *, dice: bool = True) -> Masks:
    """Two images of unlike size, 1000 pixels in all, 200 of class 1; of the first image the pixels `first` up to `end`
    are called class 1 by mistake."""
    truths = [np.zeros((20, 40), np.uint8), np.zeros((10, 20), np.uint8)]
    for truth in truths:
        truth[-5:] = 1
    found = [truth.copy() for truth in truths]
    found[0].ravel()[first:end] = 1
    scores = [
        score_image(mask, truth, 2, stem=f"image_{k}", group=f"part_{k}")
        for k, (mask, truth) in enumerate(zip(found, truths, strict=True))
    ]
    n_true, n_found = 300, 300 + end - first
    return Masks(found, 2 * n_true / (n_true + n_found) if dice else None, scores)


def test_pixels_are_pooled_over_images_and_dice_is_subtracted() -> None:
    (pair,) = compare_pairs({"a": masks(), "b": masks(0, 5)})
    assert pair["pixels_differ"] == pytest.approx(0.005)
    assert pair["dice_difference"] == pytest.approx(1 - 600 / 605)
    assert (pair["a"], pair["b"], pair["status"], pair["reason"], pair["holds"]) == ("a", "b", "ok", None, False)


def test_the_interval_knows_that_one_part_alone_has_the_difference() -> None:
    (pair,) = compare_pairs({"a": masks(), "b": masks(0, 5)})
    assert pair["lo95"] == 0.0 and pair["hi95"] == pytest.approx(1 - 400 / 405)  # the other part twice; this one twice
    (back,) = compare_pairs({"b": masks(0, 5), "a": masks()})
    assert (back["lo95"], back["hi95"]) == pytest.approx((-pair["hi95"], 0.0))


@pytest.mark.parametrize(
    ("a", "b", "holds"),
    [
        ((0, 2), (2, 4), True),  # four pixels of a thousand, equal Dice
        ((0, 3), (3, 6), False),  # too many pixels
        ((0, 0), (0, 1), False),  # one pixel, 0.17 points of Dice
    ],
)
def test_either_limit_can_be_broken(a: tuple[int, int], b: tuple[int, int], holds: bool) -> None:
    (pair,) = compare_pairs({"a": masks(*a), "b": masks(*b)})
    assert pair["holds"] is holds


def test_without_a_class_there_is_no_difference_of_dice() -> None:
    (pair,) = compare_pairs({"a": masks(), "b": masks(0, 5, dice=False)})
    assert pair["dice_difference"] is None and pair["lo95"] is None and pair["holds"] is True


def test_every_two_are_a_pair_and_a_missing_one_says_why() -> None:
    pairs = compare_pairs({"a": masks(), "b": "refused: too slow", "c": masks(0, 1)})
    assert [(pair["a"], pair["b"], pair["status"]) for pair in pairs] == [
        ("a", "b", "left out"),
        ("a", "c", "ok"),
        ("b", "c", "left out"),
    ]
    assert pairs[0]["reason"] == "b: refused: too slow" and pairs[2]["holds"] is None


def test_packed_masks_are_small_and_the_same_every_time() -> None:
    masks = [np.zeros((400, 600), np.uint8), np.random.default_rng(0).integers(0, 5, (30, 7), np.uint8)]
    packed = PackedMasks()
    for mask in masks:
        packed.add(mask)
    for _ in range(2):
        assert all(np.array_equal(a, b) for a, b in zip(packed, masks, strict=True))
    assert sum(map(len, packed._pngs)) < 2000
