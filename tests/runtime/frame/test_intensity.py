"""The window of 16-bit frames: one formula, on every way from a file to a network."""

import dataclasses
from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.runtime.errors import FrameError, ManifestError
from edgeseg.runtime.frame.intensity import apply_window, spread
from edgeseg.runtime.frame.preprocess import prepare
from edgeseg.runtime.spec.input_spec import read_window
from edgeseg.runtime.spec.manifest import Geometry, InputSpec

WINDOWS = st.tuples(st.integers(0, 65534), st.integers(1, 65535)).map(lambda ends: (ends[0], max(ends[0] + 1, ends[1])))


def spec(window=(1000, 3000), color="gray") -> InputSpec:
    return InputSpec(color, Geometry("native"), 8, window=window)


@given(WINDOWS, st.lists(st.integers(0, 65535), min_size=1, max_size=20))
def test_every_value_is_mapped_by_the_formula(window, values):
    lo, hi = window
    exact = [floor(Fraction(255 * (min(max(v, lo), hi) - lo), hi - lo) + Fraction(1, 2)) for v in values]
    found = apply_window(np.array([values], np.uint16), window)
    assert found.dtype == np.uint8
    assert found.tolist() == [exact]


def test_a_large_frame_of_any_layout_is_mapped_pixel_by_pixel():
    frame = np.random.default_rng(0).integers(0, 65536, (301, 257, 3), np.uint16)
    whole = apply_window(frame, (500, 60_000))
    assert np.array_equal(whole[::2, 5:9, 1], apply_window(frame[::2, 5:9, 1], (500, 60_000)))
    assert whole.flags.c_contiguous


def test_without_a_window_the_frame_is_the_frame():
    frame = np.zeros((4, 4), np.uint8)
    assert apply_window(frame, None) is frame
    assert spread(frame, None) is frame


@pytest.mark.parametrize("window", [(0, 255), (100, 4195), (0, 65535), (65280, 65535)])
def test_spread_pixels_are_mapped_back(window):
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    deep = spread(pixels, window)
    assert deep.dtype == np.uint16
    assert (deep.min(), deep.max()) == window
    assert np.array_equal(apply_window(deep, window), pixels)


@pytest.mark.parametrize("value", [[0], [0, 1, 2], [5, 5], [9, 3], [-1, 5], [0, 65536], [0.0, 5], [True, 5], "ab", 7])
def test_what_is_no_window_is_none(value):
    assert read_window(value) is None


def test_a_spec_with_a_window_takes_uint16_and_nothing_else():
    deep = np.array([[999, 1000, 2000, 3001]], np.uint16).repeat(8, axis=0)
    assert prepare(deep, spec()).tensor[0, 0, :4, 0].tolist() == [0, 0, 128, 255]
    with pytest.raises(FrameError, match="must be uint16, found uint8"):
        prepare(deep.astype(np.uint8), spec())
    with pytest.raises(FrameError, match="no window"):
        prepare(deep, spec(None))
    with pytest.raises(FrameError, match="found int16"):
        prepare(deep.astype(np.int16), spec())


def test_colour_comes_before_the_window():
    rgb = np.random.default_rng(0).integers(0, 4096, (8, 8, 3), np.uint16)
    gray = prepare(rgb, spec()).tensor[0, ..., 0].astype(int)
    luma = (rgb @ np.array([0.299, 0.587, 0.114])).clip(1000, 3000)
    assert np.abs(gray - (luma - 1000) * 255 / 2000).max() <= 1
    single = rgb[..., :1]
    assert np.array_equal(prepare(single, spec(color="rgb")).tensor[0, ..., 2], apply_window(rgb[..., 0], (1000, 3000)))


def test_the_manifest_carries_the_window_where_there_is_one():
    assert "window" not in spec(None).to_json()
    assert spec().to_json()["window"] == [1000, 3000]
    for one in (spec(None), spec()):
        assert InputSpec.from_json(one.to_json()) == one
    with pytest.raises(ManifestError, match="window"):
        InputSpec.from_json(spec().to_json() | {"window": [3000, 1000]})
    with pytest.raises(ManifestError, match="whole number"):
        InputSpec.from_json(spec().to_json() | {"window": [0, 10.5]})
    with pytest.raises(ManifestError, match="65535"):
        dataclasses.replace(spec(), window=(0, 70_000))
