"""Outlines and run lengths as pixels, held against areas that are known and against pycocotools' own output."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgeseg.pipeline.data_import.raster import box, ellipse, paste, polygon, polygons
from edgeseg.pipeline.data_import.rle import decode_counts, runs_to_mask

from .sources import SAMPLES


def test_a_square_has_the_pixels_whose_centres_it_covers() -> None:
    found = polygon(np.array([[10.0, 5], [20, 5], [20, 9], [10, 9]]), (30, 40))
    expected = np.zeros((30, 40), np.uint8)
    expected[5:9, 10:20] = 1
    assert np.array_equal(found, expected)


def test_outlines_that_share_an_edge_share_no_pixel_and_leave_none() -> None:
    corner = np.array([[3.3, 2.7], [25.1, 6.2], [20.9, 24.4], [5.5, 19.8]])
    middle = np.array([14.2, 12.6])
    parts = [polygon(np.stack([corner[k], corner[(k + 1) % 4], middle]), (30, 30)) for k in range(4)]
    assert np.array_equal(np.sum(parts, axis=0), polygon(corner, (30, 30)))


@pytest.mark.parametrize("turn", [0, 1])
def test_outlines_over_the_border_are_cut(turn: int) -> None:
    points = np.roll(np.array([[-7.0, -3], [12, -3], [12, 400], [-7, 400]]), turn, axis=0)
    found = polygon(points, (20, 30))
    assert found[:, :12].all() and not found[:, 12:].any()


def test_a_crossing_outline_is_filled_by_the_even_odd_rule() -> None:
    twice = np.array([[0.0, 0], [20, 0], [20, 20], [0, 20], [0, 0], [5, 5], [15, 5], [15, 15], [5, 15], [5, 5]])
    found = polygon(twice, (20, 20))
    assert found.sum() == 400 - 100 and not found[5:15, 5:15].any()


def test_parts_are_joined_also_where_they_overlap() -> None:
    one, two = np.array([[0.0, 0], [10, 0], [10, 10], [0, 10]]), np.array([[5.0, 5], [15, 5], [15, 15], [5, 15]])
    assert polygons([one, two], (20, 20)).sum() == 100 + 100 - 25


def test_circle_and_turned_box_have_their_area() -> None:
    assert ellipse((50, 50), (30, 20), (100, 100)).sum() == pytest.approx(np.pi * 600, rel=0.005)
    turned = box((40, 20, 60, 80), (100, 100), degrees=90)
    assert turned.sum() == 1200 and turned[45, 25] and not turned[25, 50]
    # Clockwise to the eye: the upper end of a tall box goes right.
    slanted = box((45, 10, 55, 90), (100, 100), degrees=30)
    assert slanted[20, 66] and not slanted[20, 33]


def test_a_small_mask_is_cut_at_the_border() -> None:
    found = paste(np.ones((4, 4), np.uint8), -2, 18, (20, 30))
    assert found.sum() == 4 and found[18:, :2].all()


def test_run_lengths_are_those_of_pycocotools() -> None:
    samples = json.loads((SAMPLES / "pycocotools_rle.json").read_text())
    assert len(samples) == 12
    for sample in samples:
        found = runs_to_mask(decode_counts(sample["counts"]), tuple(sample["size"]), by_columns=True)
        assert found.sum() == sample["area"]
        if sample["rows"]:
            assert ["".join(map(str, row)) for row in found.tolist()] == sample["rows"]


def test_cvat_goes_along_rows() -> None:
    assert runs_to_mask([1, 2, 3], (2, 3), by_columns=False).tolist() == [[0, 1, 1], [0, 0, 0]]


@pytest.mark.parametrize("counts", [[5], [7], [-1, 7], [1.0, 5], [True, 5]])
def test_run_lengths_that_do_not_fill_the_mask_are_refused(counts: list[int]) -> None:
    with pytest.raises(ValueError, match="run lengths"):
        runs_to_mask(counts, (2, 3), by_columns=True)


@pytest.mark.parametrize("text", ["\x01", "é", "o"])
def test_a_text_that_is_no_run_lengths_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="run length"):
        decode_counts(text)
