"""Regions: pieces, their sizes and boxes, and how true and predicted ones are matched."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgeseg.runtime.errors import FrameError
from edgeseg.runtime.frame import regions
from edgeseg.runtime.frame.regions import Region, best_ious, find_regions

masks = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 3))


def pieces(mask: np.ndarray, class_id: int) -> list[set[tuple[int, int]]]:
    """8-connected pieces by flooding, the slow and obvious way."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask == class_id)}
    found = []
    while left:
        piece, edge = set(), [left.pop()]
        while edge:
            y, x = edge.pop()
            piece.add((y, x))
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            edge += near
        found.append(piece)
    return found


@settings(deadline=None)
@given(masks)
def test_regions_are_the_8_connected_pieces(mask):
    expected = []
    for class_id in (1, 2, 3):
        for piece in pieces(mask, class_id):
            ys, xs = [y for y, _ in piece], [x for _, x in piece]
            box = (min(xs), min(ys), max(xs) - min(xs) + 1, max(ys) - min(ys) + 1)
            expected.append((class_id, len(piece), box))
    found = [(region.class_id, region.area_px, region.box) for region in find_regions(mask)]
    assert sorted(found) == sorted(expected)
    assert found == sorted(found, key=lambda region: (region[0], -region[1])), "by class, the largest first"


@settings(deadline=None)
@given(masks, st.integers(0, 2**32 - 1))
def test_mean_scores_are_means_over_each_piece(mask, seed):
    scores = np.random.default_rng(seed).random((4, *mask.shape), np.float32)
    expected = sorted(
        (class_id, len(piece), np.mean([scores[class_id, y, x] for y, x in piece]))
        for class_id in (1, 2, 3)
        for piece in pieces(mask, class_id)
    )
    found = sorted((region.class_id, region.area_px, region.mean_score) for region in find_regions(mask, scores))
    assert [region[:2] for region in found] == [region[:2] for region in expected]
    assert [region[2] for region in found] == pytest.approx([region[2] for region in expected], abs=1e-5)


def test_scores_may_be_one_plane_and_uint8():
    mask = np.array([[0, 2, 2], [0, 0, 0], [1, 0, 0]], np.uint8)
    scores = np.array([[0, 255, 51], [0, 0, 0], [102, 0, 0]], np.uint8)
    assert find_regions(mask, scores) == (
        Region(1, 1, (0, 2, 1, 1), pytest.approx(0.4)),
        Region(2, 2, (1, 0, 2, 1), pytest.approx(0.6)),
    )


@settings(deadline=None)
@given(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=24), elements=st.integers(0, 2)), st.data()
)
def test_regions_of_strips_are_those_of_the_whole(mask, data):
    scores = np.random.default_rng(0).random((3, *mask.shape), np.float32)
    whole = find_regions(mask, scores)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regions, "_STRIP_PX", data.draw(st.integers(1, 100)))
        strips = find_regions(mask, scores)
    assert [(one.class_id, one.area_px) for one in strips] == [(one.class_id, one.area_px) for one in whole]
    assert sorted(strips, key=str) == [
        Region(one.class_id, one.area_px, one.box, pytest.approx(one.mean_score, abs=1e-5))
        for one in sorted(whole, key=str)
    ]


def test_a_spiral_through_every_strip_is_one_region(monkeypatch):
    mask = np.zeros((41, 41), np.uint8)
    for inset in range(0, 20, 4):
        mask[inset : 41 - inset, inset : 41 - inset] = 1
        mask[inset + 2 : 39 - inset, inset + 2 : 39 - inset] = 0
        mask[inset + 1 : inset + 4, inset + 1 : inset + 4] |= np.eye(3, dtype=np.uint8)  # to the next ring, diagonally
    monkeypatch.setattr(regions, "_STRIP_PX", 82)
    (found,) = find_regions(mask)
    assert (found.area_px, found.box) == (int(mask.sum()), (0, 0, 41, 41))


def test_no_foreground_and_no_pixels_have_no_regions():
    assert find_regions(np.zeros((4, 4), np.uint8)) == ()
    assert find_regions(np.zeros((0, 4), np.uint8)) == ()


def test_a_read_only_or_strided_mask_is_taken():
    mask = np.zeros((8, 8), np.uint8)
    mask[::2, ::2] = 1
    mask.setflags(write=False)
    assert len(find_regions(mask)) == 16
    assert find_regions(mask[::2, ::2])[0].area_px == 16


@pytest.mark.parametrize(
    ("mask", "scores"),
    [
        (np.zeros((2, 2), np.int64), None),
        (np.zeros((1, 2, 2), np.uint8), None),
        (np.ones((2, 2), np.uint8), np.zeros((2, 3), np.float32)),
        (np.full((2, 2), 2, np.uint8), np.zeros((2, 2, 2), np.float32)),
    ],
)
def test_wrong_shapes_and_types_are_refused(mask, scores):
    with pytest.raises(FrameError):
        find_regions(mask, scores)


def test_the_best_single_region_counts_not_the_union():
    truth, pred = np.zeros((1, 20), np.uint8), np.zeros((1, 20), np.uint8)
    truth[0, :10] = 1
    pred[0, [0, 2, 3, 5, 6, 7]] = 1
    areas, ious, n_predicted = best_ious(truth, pred)
    assert (areas.tolist(), ious.tolist(), n_predicted) == ([10], [0.3], 3)


def test_one_blob_over_two_true_regions_may_hit_each():
    truth, pred = np.ones((1, 21), np.uint8), np.ones((1, 21), np.uint8)
    truth[0, 10] = 0
    areas, ious, n_predicted = best_ious(truth, pred)
    assert (areas.tolist(), n_predicted) == ([10, 10], 1)
    assert ious == pytest.approx([10 / 21, 10 / 21])


binary = hnp.arrays(np.uint8, (9, 11), elements=st.integers(0, 1))


@settings(deadline=None)
@given(binary, binary)
def test_ious_equal_those_computed_piece_by_piece(truth, pred):
    areas, ious, n_predicted = best_ious(truth, pred)
    predicted = pieces(pred, 1)
    expected = sorted(
        (len(piece), max((len(piece & other) / len(piece | other) for other in predicted), default=0.0))
        for piece in pieces(truth, 1)
    )
    assert n_predicted == len(predicted)
    found = sorted(zip(areas.tolist(), ious.tolist(), strict=True))
    assert [area for area, _ in found] == [area for area, _ in expected]
    assert [best for _, best in found] == pytest.approx([best for _, best in expected])


def test_the_same_mask_twice_is_hit_everywhere():
    mask = (np.random.default_rng(0).random((64, 64)) > 0.8).astype(np.uint8)
    assert (best_ious(mask, mask)[1] == 1).all()
