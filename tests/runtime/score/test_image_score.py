"""Scores of one image: identities that must hold, and distances against the slow and obvious way."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgeseg.runtime.data.dataset import open_dataset, read_mask
from edgeseg.runtime.errors import DataError
from edgeseg.runtime.score.image_score import dice, hausdorff95_px, iou, score_image

K = 4
shapes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14)
ids = st.integers(0, K - 1)
pairs = shapes.flatmap(
    lambda shape: st.tuples(hnp.arrays(np.uint8, shape, elements=ids), hnp.arrays(np.uint8, shape, elements=ids))
)


def slow_hd95(pred: np.ndarray, truth: np.ndarray) -> float:
    def edge(mask):
        padded = np.pad(mask, 1)
        inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:] & mask
        return np.argwhere(mask & ~inner & 1)

    a, b = edge(pred), edge(truth)
    distance = np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=2))
    return max(np.percentile(distance.min(axis=1), 95), np.percentile(distance.min(axis=0), 95))


@settings(deadline=None)
@given(pairs)
def test_counts_are_those_of_each_class(pair):
    pred, truth = pair
    score = score_image(pred, truth, K)
    for k in range(K):
        assert score.tp[k] == np.sum((pred == k) & (truth == k))
        assert score.fp[k] == np.sum((pred == k) & (truth != k))
        assert score.fn[k] == np.sum((pred != k) & (truth == k))
    assert score.fp.sum() == score.fn.sum() == truth.size - score.tp.sum()
    assert score.is_negative == (not truth.any())


@settings(deadline=None)
@given(pairs)
def test_swapping_prediction_and_truth_swaps_errors_and_keeps_dice_and_distance(pair):
    pred, truth = pair
    one, other = score_image(pred, truth, K), score_image(truth, pred, K)
    assert np.array_equal(one.fp, other.fn)
    # Percentiles of float32 distances: the last digit depends on the order of the sides.
    assert np.allclose(one.hd95_px, other.hd95_px, rtol=1e-6, atol=0, equal_nan=True)
    assert np.array_equal(dice(one.tp, one.fp, one.fn), dice(other.tp, other.fp, other.fn), equal_nan=True)


@settings(deadline=None)
@given(pairs)
def test_dice_and_iou_are_the_same_truth_in_two_scales(pair):
    score = score_image(*pair, K)
    d, j = (f(score.tp, score.fp, score.fn) for f in (dice, iou))
    assert np.allclose(d, 2 * j / (1 + j), equal_nan=True)
    assert np.all((d >= j) | np.isnan(d))
    assert np.array_equal(np.isnan(d), score.tp + score.fp + score.fn == 0)


@settings(deadline=None)
@given(hnp.arrays(np.uint8, shapes, elements=ids))
def test_a_perfect_mask_is_perfect(mask):
    score = score_image(mask, mask, K, stem="a")
    present = np.bincount(mask.ravel(), minlength=K) > 0
    assert np.array_equal(dice(score.tp, score.fp, score.fn), np.where(present, 1, np.nan), equal_nan=True)
    assert not score.hd95_px[1:][present[1:]].any()
    assert (score.region_iou == 1).all()
    assert np.array_equal(np.bincount(score.region_class, minlength=K), score.n_predicted_regions)
    assert score.region_area_px.sum() == np.count_nonzero(mask)
    assert score.group == "a"


@settings(deadline=None)
@given(pairs)
def test_hd95_equals_the_one_from_all_pairs_of_boundary_pixels(pair):
    pred, truth = (mask & 1 for mask in pair)
    value = hausdorff95_px(pred, truth)
    if pred.any() and truth.any():
        assert value == slow_hd95(pred, truth), "to the last digit: bundles hold it, and are to be the same again"
        assert score_image(pred, truth, 2).hd95_px[1] == value, "cutting out changes nothing"
    else:
        assert np.isnan(value)


def test_hd95_of_two_points():
    pred, truth = np.zeros((50, 50), np.uint8), np.zeros((50, 50), np.uint8)
    pred[10, 10] = truth[13, 14] = 1
    assert hausdorff95_px(pred, truth) == 5


def test_a_large_frame_counts_every_pixel():
    """5000x4000 pixels are more than a float32 counter could hold exactly (2^24)."""
    truth = np.zeros((5000, 4000), np.uint8)
    truth[0, 0] = 1
    score = score_image(np.zeros_like(truth), truth, 2)
    assert (score.tp[0], score.fn[1]) == (19_999_999, 1)


def test_many_classes_do_not_overflow():
    mask = np.arange(255, dtype=np.uint8)[None]
    score = score_image(mask, mask, 255)
    assert (score.tp == 1).all()


def test_wrong_sizes_and_ids_are_refused():
    mask = np.zeros((4, 4), np.uint8)
    with pytest.raises(DataError, match=r"a7: .*\(4, 3\).*\(4, 4\)"):
        score_image(mask[:, :3], mask, 2, stem="a7")
    with pytest.raises(DataError, match="a7: a mask holds the id 2, but there are 2 classes"):
        score_image(mask + 2, mask, 2, stem="a7")


@pytest.mark.real_data
def test_a_real_mask_moved_by_three_pixels(pitting_dir):
    data = open_dataset(pitting_dir)
    sample = next(sample for sample in data.samples if sample.columns["class"] == "pitting")
    truth = read_mask(sample.mask, 2)
    score = score_image(np.roll(truth, 3, axis=1), truth, 2)
    assert 0 < score.hd95_px[1] <= 3
    assert (score.region_iou > 0.1).all()
