"""The growing histogram: exact, whatever the order, and it spans 0."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgeseg.compress.int8.histogram import BINS, Histogram

values = st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=40)


def of(*parts: np.ndarray) -> Histogram:
    histogram = Histogram()
    for part in parts:
        histogram.add(np.asarray(part, np.float32))
    return histogram


@settings(max_examples=60, deadline=None)
@given(st.lists(values, min_size=1, max_size=4))
@example([[4095.0], [0.0]])  # one bin's edge below the largest, half the width would do
@example([[4096.0], [-1.4e-45]])  # the least float32 below 0
@example([[3e38], [-1e-30], [1.0]])
def test_parts_in_any_order_are_counted_as_the_whole(parts):
    whole = of(np.concatenate([np.array(part, np.float32) for part in parts]))
    for order in (parts, parts[::-1]):
        found = of(*order)
        assert (found.width, found.first) == (whole.width, whole.first)
        np.testing.assert_array_equal(found.counts, whole.counts)
        np.testing.assert_allclose(found.sums, whole.sums, rtol=1e-9, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(values)
def test_every_value_is_in_its_bin(numbers):
    histogram = of(numbers)
    assert histogram.counts.sum() == len(numbers)
    assert len(histogram.counts) <= BINS and 0 <= histogram.zero < len(histogram.counts)
    for number in np.array(numbers, np.float32).astype(float):
        index = int(np.floor(number / histogram.width)) - histogram.first
        assert histogram.counts[index] > 0


def test_equal_values_are_told_exactly():
    points, counts = of([0.0] * 70, [6.0] * 20, [1.234] * 10).points()
    assert points.tolist() == pytest.approx([0.0, 1.234, 6.0])
    assert counts.tolist() == [70, 10, 20]


def test_a_range_takes_at_least_half_the_bins():
    assert len(of(np.linspace(0, 6, 1000)).counts) >= BINS / 2


def test_nothing_and_zeros_alone_are_taken():
    histogram = of(np.zeros(0), np.zeros(5))
    assert histogram.counts.sum() == 5 and histogram.points()[0].tolist() == [0.0]


@settings(max_examples=60, deadline=None)
@given(values)
def test_the_middle_holds_its_share(numbers):
    histogram = of(numbers)
    low, high = histogram.middle(0.9)
    between = np.mean([low <= number <= high for number in np.array(numbers, np.float32)])
    assert between >= 0.9
    assert low >= min(numbers) - histogram.width and high <= max(numbers) + histogram.width


def test_a_few_far_values_are_not_in_the_middle():
    histogram = of([0.0] * 500, np.linspace(0, 1, 500), [700.0], [-700.0])
    low, high = histogram.middle(0.99)
    assert low == 0 and 1 <= high <= 1 + histogram.width
    assert Histogram().middle(0.99) == (0, 0)
