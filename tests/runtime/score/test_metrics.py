"""Sums over a split: definitions, and what is said when something cannot be estimated."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgeseg.runtime.errors import MeasureError
from edgeseg.runtime.score.metrics import ImageScore, image_dice, score_image, summarize, summarize_classes

CLASSES = ["background", "pit", "scratch"]
masks = hnp.arrays(np.uint8, (6, 7), elements=st.integers(0, 2))


def score(pred, truth, stem="a", group="", pixel_mm=None) -> ImageScore:
    as_mask = [np.atleast_2d(np.array(ids, np.uint8)) for ids in (pred, truth)]
    return score_image(*as_mask, len(CLASSES), pixel_mm, stem=stem, group=group)


def test_dice_comes_from_summed_counts_not_from_images():
    scores = [score([1] * 8 + [0, 0], [1] * 8 + [0, 0], "big"), score([0, 1], [1, 0], "small")]
    total = summarize(scores, CLASSES)
    assert total["dice"] == {"pit": 2 * 8 / (2 * 8 + 2), "scratch": None}
    assert total["dice_mean"] == total["dice"]["pit"], "a class that occurs nowhere is in no mean"
    assert total["iou_mean"] == 8 / 10
    assert total["per_image"] == {"median": 0.5, "p5": pytest.approx(0.05), "share_below_0.5": 0.5, "n": 2}
    assert (total["n_images"], total["n_groups"]) == (2, 2)


def test_a_class_predicted_where_it_never_is_counts_as_zero():
    total = summarize([score([1, 2, 0], [1, 0, 0])], CLASSES)
    assert total["dice"] == {"pit": 1.0, "scratch": 0.0}
    assert total["dice_mean"] == 0.5
    assert total["per_image"]["median"] == 0.5


def test_good_frames_are_judged_by_false_regions_alone():
    scores = [
        score([1, 0, 1, 0, 2], [0, 0, 0, 0, 0], "false alarms"),
        score([0, 0, 0, 0, 0], [0, 0, 0, 0, 0], "quiet"),
        score([1, 0, 0, 0, 2], [1, 0, 0, 0, 0], "has a pit; its false scratch is no alarm on a good part"),
    ]
    total = summarize(scores, CLASSES)
    assert total["false_regions_per_negative_frame"] == 1.5
    assert total["n_negative_frames"] == 2
    assert total["per_image"]["n"] == 1


def test_without_negatives_it_says_so():
    total = summarize([score([1], [1])], CLASSES)
    assert total["false_regions_per_negative_frame"] == "not estimable (0 negatives)"


def test_without_any_foreground_nothing_is_zero():
    total = summarize([score([0, 0], [0, 0])], CLASSES)
    assert total["dice_mean"] is total["iou_mean"] is total["region_recall"] is total["small_region_recall"] is None
    assert total["per_image"] == {"median": None, "p5": None, "share_below_0.5": None, "n": 0}
    assert total["hd95"] == {"pit": {"value_px": None, "n": 0}, "scratch": {"value_px": None, "n": 0}}
    assert total["false_regions_per_negative_frame"] == 0


def test_hd95_is_the_mean_over_images_that_have_both_and_in_mm_where_known():
    scores = [
        score([1, 0, 0, 0], [0, 0, 0, 1], "three apart", pixel_mm=0.5),
        score([1, 0, 0, 0], [0, 1, 0, 0], "one apart", pixel_mm=0.25),
        score([0, 0, 0, 0], [0, 1, 0, 0], "missed", pixel_mm=0.25),
    ]
    assert summarize(scores, CLASSES)["hd95"]["pit"] == {"value_px": 2.0, "n": 2, "value_mm": (1.5 + 0.25) / 2}
    scores[0] = score([1, 0, 0, 0], [0, 0, 0, 1])
    assert "value_mm" not in summarize(scores, CLASSES)["hd95"]["pit"]


def test_small_regions_are_the_lowest_area_quartile_of_the_truth():
    truth = np.zeros((40, 40), np.uint8)
    for i, side in enumerate((1, 2, 3, 4, 5, 6, 7, 8)):
        truth[:side, 5 * i : 5 * i + min(side, 4)] = 1
    missed = truth.copy()
    missed[0, 0] = 0
    total = summarize([score_image(missed, truth, 3)], CLASSES)
    assert total["n_regions"] == 8
    assert total["region_recall"] == 7 / 8
    assert (total["small_region_px"], total["n_small_regions"]) == (7.75, 2)
    assert total["small_region_recall"] == 0.5


def test_a_region_is_hit_from_an_iou_of_a_tenth_on_and_by_its_own_class():
    assert summarize([score([0] * 9 + [1], [1] * 10)], CLASSES)["region_recall"] == 1
    assert summarize([score([0] * 10 + [1], [1] * 11)], CLASSES)["region_recall"] == 0
    assert summarize([score([2] * 10, [1] * 10)], CLASSES)["region_recall"] == 0


@settings(deadline=None)
@given(st.lists(st.tuples(masks, masks), min_size=1, max_size=5))
def test_figures_are_in_range_do_not_depend_on_order_and_go_into_json(pairs):
    scores = [score_image(pred, truth, 3, stem=str(i)) for i, (pred, truth) in enumerate(pairs)]
    total = summarize(scores, CLASSES)
    again = summarize(scores[::-1], CLASSES)
    json.dumps(total, allow_nan=False)
    assert total["dice"] == again["dice"]
    assert total["small_region_recall"] == again["small_region_recall"]
    for key in ("dice_mean", "iou_mean", "region_recall", "small_region_recall"):
        assert total[key] is None or 0 <= total[key] <= 1


def test_miou_is_over_all_classes_and_iou_mean_over_the_foreground():
    total = summarize([score([1, 1, 0, 0, 0, 2], [1, 0, 0, 0, 0, 2])], CLASSES)
    assert total["iou"] == {"pit": 1 / 2, "scratch": 1.0}
    assert total["iou_mean"] == pytest.approx((1 / 2 + 1) / 2)
    assert total["miou"] == pytest.approx((3 / 4 + 1 / 2 + 1) / 3)
    only_pits = summarize([score([1, 1, 0, 0], [1, 0, 0, 0])], CLASSES)
    assert only_pits["miou"] == pytest.approx((2 / 3 + 1 / 2) / 2), "a class that occurs nowhere is in no mean"


def test_classes_one_by_one():
    scores = [
        score([1, 1, 1, 0, 2, 0], [1, 0, 0, 0, 2, 2], "a", pixel_mm=0.5),
        score([0, 0, 0, 0, 0, 0], [1, 0, 1, 0, 0, 0], "b", pixel_mm=0.5),
    ]
    found = summarize_classes(scores, CLASSES)
    pit = found["pit"]
    assert (pit["precision"], pit["recall"]) == (1 / 3, 1 / 3)  # TP 1, FP 2, FN 2
    assert (pit["dice"], pit["iou"]) == (2 / 6, 1 / 5)
    assert (pit["region_recall"], pit["n_regions"]) == (1 / 3, 3)  # IoU 1/3 in a, two missed in b
    assert pit["hd95"]["n"] == 1 and pit["hd95"]["value_mm"] == pit["hd95"]["value_px"] / 2 > 0
    assert (pit["n_images"], pit["n_true_px"], pit["n_predicted_px"]) == (2, 3, 3)
    assert found["scratch"]["n_images"] == 1 and found["scratch"]["region_recall"] == 1
    background = found["background"]
    assert background["iou"] == 5 / 10 and background["hd95"]["value_px"] is None
    assert (background["region_recall"], background["n_regions"]) == (None, 0)
    total = summarize(scores, CLASSES)
    for name in CLASSES[1:]:
        assert (found[name]["dice"], found[name]["iou"]) == (total["dice"][name], total["iou"][name])
        assert found[name]["hd95"] == total["hd95"][name]


def test_what_a_class_cannot_tell_is_none():
    found = summarize_classes([score([0, 0, 2], [0, 0, 0])], CLASSES)
    keys = ("dice", "iou", "precision", "recall", "region_recall")
    assert [found["pit"][key] for key in keys] == [None] * 5
    assert [found["scratch"][key] for key in keys] == [0, 0, 0, None, None]
    with pytest.raises(MeasureError, match="No image was scored"):
        summarize_classes([], CLASSES)


@settings(deadline=None)
@given(masks, masks)
def test_one_image_pooled_is_that_image(pred, truth):
    total = summarize([score_image(pred, truth, 3)], CLASSES)
    if truth.any():
        assert total["per_image"]["median"] == pytest.approx(total["dice_mean"])


def test_one_images_dice_is_of_the_classes_that_are_there():
    truth = np.zeros((12, 12), np.uint8)
    truth[3, :10] = 1
    half = truth.copy()
    half[3, 5:] = 0
    assert image_dice(score_image(truth, truth, 3)) == 1.0
    assert image_dice(score_image(half, truth, 2)) == pytest.approx(2 * 5 / (2 * 5 + 5))
    assert np.isnan(image_dice(score_image(truth * 0, truth * 0, 2)))


def test_nothing_scored_and_other_classes_are_refused():
    with pytest.raises(MeasureError, match="No image was scored"):
        summarize([], CLASSES)
    with pytest.raises(MeasureError, match="a: scored with another number of classes"):
        summarize([score([1], [1])], ["background", "pit"])
