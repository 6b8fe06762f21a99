"""Padding grows the bottom and right edge only, mirrors where it can and repeats the edge where it cannot."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.runtime.frame.padding import pad_to_shape, round_up

sizes = st.integers(1, 70)


def image(height: int, width: int, channels: int = 0) -> np.ndarray:
    shape = (height, width, channels) if channels else (height, width)
    return np.random.default_rng(height * 100 + width).integers(0, 256, shape, np.uint8)


@given(sizes, st.sampled_from((1, 2, 8, 32)))
def test_the_next_multiple(size: int, multiple: int) -> None:
    assert 0 <= round_up(size, multiple) - size < multiple
    assert round_up(size, multiple) % multiple == 0


@given(sizes, sizes, st.sampled_from((0, 5)), st.sampled_from((0, 3)), st.booleans())
def test_the_image_stays_where_it_is(height: int, width: int, added: int, channels: int, given_out: bool) -> None:
    frame = image(height, width, channels)
    shape = (height + added, width + 2 * added, *frame.shape[2:])
    out = np.empty(shape, np.uint8) if given_out else None
    padded = pad_to_shape(frame, *shape[:2], out)
    assert padded.shape == shape
    np.testing.assert_array_equal(padded[:height, :width], frame)
    if given_out and added:
        assert np.shares_memory(padded, out)


@given(sizes, sizes, st.integers(0, 70), st.integers(0, 70))
def test_each_axis_mirrors_where_it_is_long_enough(height: int, width: int, rows: int, columns: int) -> None:
    frame = image(height, width)
    row_mode = "reflect" if rows < height else "edge"
    column_mode = "reflect" if columns < width else "edge"
    expected = np.pad(frame, ((0, 0), (0, columns)), column_mode) if columns else frame
    expected = np.pad(expected, ((0, rows), (0, 0)), row_mode) if rows else expected
    np.testing.assert_array_equal(pad_to_shape(frame, height + rows, width + columns), expected)


def test_nothing_to_do_gives_the_same_array() -> None:
    frame = image(64, 32)
    assert pad_to_shape(frame, 64, 32) is frame


def test_a_single_pixel_fills_the_frame() -> None:
    assert (pad_to_shape(np.array([[7]], np.uint8), 32, 32) == 7).all()
