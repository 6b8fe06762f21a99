"""Figures of two files' masks against each other."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.pipeline.mask_agreement import Masks, compare_pairs
from edgeseg.pipeline.mask_png import PackedMasks


def masks(changed: int, dice: float | None = 0.8) -> Masks:
    """Two images of unlike size, 1000 pixels in all; `changed` of them differ from 0."""
    large, small = np.zeros((20, 40), np.uint8), np.zeros((10, 20), np.uint8)
    large.ravel()[: changed // 2] = 1
    small.ravel()[: changed - changed // 2] = 2
    return Masks([large, small], dice, [])


def test_pixels_are_pooled_over_images_and_dice_is_subtracted() -> None:
    (pair,) = compare_pairs({"a": masks(0, 0.8), "b": masks(5, 0.8005)})
    assert pair["pixels_differ"] == pytest.approx(0.005)
    assert pair["dice_difference"] == pytest.approx(-0.0005)
    assert (pair["a"], pair["b"], pair["status"], pair["reason"], pair["holds"]) == ("a", "b", "ok", None, True)


@pytest.mark.parametrize(("changed", "dice", "holds"), [(6, 0.8, False), (0, 0.7985, False), (5, None, True)])
def test_either_limit_can_be_broken(changed: int, dice: float | None, holds: bool) -> None:
    (pair,) = compare_pairs({"a": masks(0), "b": masks(changed, dice)})
    assert pair["holds"] is holds
    assert (pair["dice_difference"] is None) == (dice is None)


def test_every_two_are_a_pair_and_a_missing_one_says_why() -> None:
    pairs = compare_pairs({"a": masks(0), "b": "refused: too slow", "c": masks(1)})
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
