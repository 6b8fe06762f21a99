"""Names of images and masks that nearly pair: the rule that is told."""

from __future__ import annotations

import pytest

from edgeseg.runtime.data.pairing.pairing import find_rule


@pytest.mark.parametrize(
    ("images", "masks", "remedy"),
    [
        ("a1 a2", "a1_mask a2_mask", "take '_mask' out of the names in masks/"),
        ("1 2 11", "1-seg 2-seg 11-seg", "take '-seg' out"),
        ("1 2", "mask_1 mask_2", "take 'mask_' out"),
        ("img_1 img_2", "mask_1 mask_2", "write 'img' for 'mask' in masks/"),
        (
            "A_leftImg8bit B_leftImg8bit",
            "A_gtFine_labelIds B_gtFine_labelIds",
            "write 'leftImg8bit' for 'gtFine_labelIds'",
        ),
        ("a_0000 b_0000", "a b", "add '_0000' to the names in masks/"),
        ("case1_img", "case1_mask", "write 'img' for 'mask'"),
        ("IMG1 IMG2", "img1 img2", "exactly its image's name"),
        ("1 2 11", "001 002 011", "exactly its image's name"),
        ("caf\u00e9", "cafe\u0301", "exactly its image's name"),
        ("part-1 part-2", "part_1 part_2", "exactly its image's name"),
    ],
)
def test_the_rule(images: str, masks: str, remedy: str) -> None:
    rule = find_rule(images.split(), masks.split())
    assert rule is not None and remedy in rule.remedy
    assert dict(rule.pairs) == dict(zip(images.split(), masks.split(), strict=True))


@pytest.mark.parametrize(
    ("images", "masks"),
    [("7", "orphan"), ("1 2 3", "10 20 30"), ("cat", "dog"), ("1 2 3", "4 5 6"), ("", "a"), ("scan_a scan_b", "x")],
)
def test_names_with_nothing_in_common_have_none(images: str, masks: str) -> None:
    assert find_rule(images.split(), masks.split()) is None


def test_what_becomes_equal_to_another_is_no_pair() -> None:
    rule = find_rule(["ab", "B"], ["AB", "Ab", "b"])
    assert rule is not None and dict(rule.pairs) == {"B": "b"}
