"""Which look is kept: one that its neighbours bear out; and what has to stay on disk until that is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.train.kept_look import kept_look, open_looks


@pytest.mark.parametrize(
    ("dice", "kept"),
    [
        ([0.7], 0),
        ([0.65, 0.86, 0.67, 0.70, 0.71, 0.70], 5),  # the set that was kept back: a lucky look in the middle,
        ([0.65, 0.66, 0.67, 0.66, 0.86], 4),  # at the end, where it counts as its neighbour and is the later of equals,
        ([0.86, 0.65, 0.66, 0.67, 0.66], 4),  # at the start
        ([0.5, 0.6, 0.7, 0.8], 3),  # a curve that rises ends with its last look
        ([0.5, 0.8, 0.81, 0.8, 0.6, 0.5], 3),  # one that falls again does not
        ([0.7, 0.7, 0.7], 2),
        ([0.734, 0.727, 0.736, 0.733, 0.729, 0.737, 0.7325, 0.733], 3),  # not the second, the lowest of all
    ],
)
def test_the_look_that_is_kept(dice: list[float], kept: int) -> None:
    assert kept_look(dice) == kept


@given(st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4, 0.5]), min_size=1, max_size=12))
def test_what_is_kept_at_the_end_was_never_thrown_away(dice: list[float]) -> None:
    kept = kept_look(dice)
    assert all(kept in open_looks(dice[:seen]) for seen in range(kept + 1, len(dice) + 1))
    assert len(open_looks(dice)) <= 2
