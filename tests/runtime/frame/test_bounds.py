"""The box around a mask, in whichever way it is found with the OpenCV that is installed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.runtime.frame.bounds import _version, bounding_box, box_by_lines


@pytest.mark.parametrize("box", [bounding_box, box_by_lines])
@given(st.integers(1, 8), st.integers(1, 70), st.lists(st.tuples(st.integers(0), st.integers(0)), max_size=4))
def test_it_holds_every_pixel_and_no_more(box, height: int, width: int, places: list[tuple[int, int]]) -> None:
    mask = np.zeros((height, width), np.uint8)
    for y, x in places:
        mask[y % height, x % width] = 255 if x % 2 else 1
    ys, xs = np.nonzero(mask)
    wanted = (xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1) if len(xs) else (0, 0, 0, 0)
    assert box(mask) == wanted
    assert box(np.repeat(mask, 2, axis=1)[:, ::2]) == wanted


def test_the_mask_that_opencv_4_8_gets_wrong() -> None:
    assert bounding_box(np.array([[1, 0], [1, 1]], np.uint8)) == (0, 0, 2, 2)


@pytest.mark.parametrize(
    ("text", "wanted"), [("4.8.0", False), ("4.10.0", True), ("4.5.4-dev", False), ("5.0.0-pre", True)]
)
def test_versions_are_compared_as_numbers(text: str, wanted: bool) -> None:
    assert (_version(text) >= (4, 10)) is wanted
