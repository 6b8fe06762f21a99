"""Times as people say them."""

from __future__ import annotations

import pytest

from edgeseg.benchmarks.duration import duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0.4 s"), (12.2, "12 s"), (59.9, "1 min 00 s"), (200, "3 min 20 s"), (3900, "1 h 05 min"), (-3, "0.0 s")],
)
def test_a_duration_has_two_units_at_most(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_nothing_measured_stays_nothing() -> None:
    assert duration(None) is None
