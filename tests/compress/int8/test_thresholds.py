"""Cutting ranges off: what each method keeps, on the shapes that activations have."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.compress.int8.histogram import Histogram
from edgeseg.compress.int8.thresholds import entropy, least_squares, percentile

CUTS = {"percentile": percentile, "entropy": entropy, "mse": least_squares}
each_cut = pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
rng = np.random.default_rng(0)
NORMAL = rng.normal(0, 1, 200_000).astype(np.float32)


def cut_of(cut, values: np.ndarray) -> tuple[float, float]:
    values = np.asarray(values, np.float32)
    histogram = Histogram()
    histogram.add(values)
    return cut(histogram, (float(values.min()), float(values.max())))


def error_of(values: np.ndarray, low: float, high: float) -> float:
    scale = (high - low) / 255
    zero = np.rint(-low / scale)
    integers = np.clip(np.rint(values / scale) + zero, 0, 255)
    return float(np.square((integers - zero) * scale - values).mean())


@each_cut
def test_relu6_that_saturates_keeps_its_six(cut):
    values = np.clip(3 * NORMAL + 2, 0, 6)
    low, high = cut_of(cut, values)
    assert low == pytest.approx(0.0, abs=1e-3) and high == pytest.approx(6.0, abs=0.15)


@each_cut
def test_relu6_that_hardly_saturates_keeps_most_of_its_range(cut):
    values = np.clip(1.2 * NORMAL + 1, 0, 6)
    low, high = cut_of(cut, values)
    assert low == pytest.approx(0.0, abs=1e-3) and 3.5 < high <= 6.0


@each_cut
@pytest.mark.parametrize("sign", [1, -1])
def test_one_sided_values_keep_their_side(cut, sign):
    values = sign * np.abs(NORMAL)
    low, high = cut_of(cut, values)
    near, far = (low, high) if sign > 0 else (-high, -low)
    assert near == pytest.approx(0.0, abs=1e-3)
    assert 2.5 < far <= float(np.abs(values).max())


@each_cut
def test_a_lonely_outlier_is_cut_off(cut):
    values = np.concatenate([NORMAL, [40.0]])
    low, high = cut_of(cut, values)
    # What the outlier costs grows with its square: least squares cuts less of it off than the others.
    assert high < (36.0 if cut is least_squares else 12.0)
    assert low < -2.5


@each_cut
def test_both_sides_are_cut_by_themselves(cut):
    skewed = np.concatenate([np.maximum(NORMAL, -0.5), [-20.0], 2 * np.abs(NORMAL)])
    low, high = cut_of(cut, skewed)
    assert -15 < low < -0.4 and high > 4


@each_cut
@pytest.mark.parametrize("constant", [0.0, 3.0, -3.0, 1e-9])
def test_constant_tensors_stay_what_they_are(cut, constant):
    low, high = cut_of(cut, np.full(100, constant))
    assert low <= constant <= high or low == pytest.approx(constant) == high


@each_cut
def test_values_far_from_zero_stay_inside(cut):
    low, high = cut_of(cut, 1000 + NORMAL)
    assert low <= high <= 1000 + float(NORMAL.max()) + 1e-3
    assert high > 995


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 3.0), st.floats(-2.0, 2.0))
def test_mse_is_never_worse_than_minmax(seed, spread, centre):
    values = np.random.default_rng(seed).standard_t(3, 4000).astype(np.float32) * spread + centre
    low, high = cut_of(least_squares, values)
    widest = (min(float(values.min()), 0.0), max(float(values.max()), 0.0))
    assert error_of(values, min(low, 0.0), max(high, 0.0)) <= error_of(values, *widest) * 1.02


@each_cut
@settings(max_examples=30, deadline=None)
@given(numbers=st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=30))
def test_any_values_give_an_ordered_range_within_what_was_seen(cut, numbers):
    low, high = cut_of(cut, np.array(numbers, np.float32))
    assert np.isfinite([low, high]).all() and low <= high
    assert low >= min(numbers) - 1e-6 and high <= max(numbers) + 1e-6
