from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.benchmarks.stats import allowed_over, describe, order_statistic, relative_spread, upper_bound

times = st.lists(st.floats(0.001, 1e4), min_size=1, max_size=200)


@given(times, st.sampled_from([0.5, 0.9, 0.95, 0.99, 1.0]))
def test_order_statistic_is_the_smallest_sample_that_covers_the_share(samples, share):
    ordered = np.sort(np.asarray(samples))
    found = order_statistic(ordered, share)
    covered = [v for v in ordered if np.count_nonzero(ordered <= v) >= share * len(ordered) - 1e-9]
    assert found == min(covered)
    assert found in samples


def test_order_statistics_of_the_numbers_to_100():
    found = describe(np.arange(1, 101))
    assert (found.p50, found.p90, found.p95, found.p99, found.max, found.n) == (50, 90, 95, 99, 100, 100)
    assert found.mean == pytest.approx(50.5)
    assert found.cv == pytest.approx(np.std(np.arange(1, 101), ddof=1) / 50.5)


def by_definition(n: int, tenths: int, of: int) -> int:
    """The largest t with BinomCDF(t; n, 1 - p) <= 1/100 in exact fractions, p = tenths / of."""
    p, t, cumulative = Fraction(tenths, of), -1, Fraction(0)
    while t < n:
        cumulative += comb(n, t + 1) * (1 - p) ** (t + 1) * p ** (n - t - 1)
        if cumulative > Fraction(1, 100):
            break
        t += 1
    return t


@pytest.mark.parametrize(("tenths", "of"), [(9, 10), (99, 100)])
@pytest.mark.parametrize("n", [1, 10, 43, 44, 45, 63, 64, 65, 459, 460, 661, 662, 1024, 1500])
def test_early_stopping_is_the_binomial_definition(n, tenths, of):
    assert allowed_over(n, tenths / of) == by_definition(n, tenths, of)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 700))
def test_early_stopping_is_the_binomial_definition_for_any_n(n):
    assert allowed_over(n, 0.9) == by_definition(n, 9, 10)


def test_bounds_begin_at_64_and_662_samples():
    for share, first in ((0.9, 64), (0.99, 662)):
        assert upper_bound(np.arange(first - 1.0), share) is None
        assert upper_bound(np.arange(float(first)), share) == first - 1  # the highest sample


def test_of_1024_samples_p90_uses_the_80th_largest_and_p99_the_third():
    ordered = np.arange(1.0, 1025.0)
    assert upper_bound(ordered, 0.9) == 1024 - 79
    assert upper_bound(ordered, 0.99) == 1024 - 2


def test_many_samples_do_not_underflow():
    assert 0 < allowed_over(200_000, 0.9) < 20_000


def test_the_bound_is_not_below_the_percentile():
    rng = np.random.default_rng(0)
    for _ in range(20):
        found = describe(rng.lognormal(0, 0.3, 800))
        assert found.p90 <= found.p90_upper <= found.max
        assert found.p99 <= found.p99_upper <= found.max


def test_one_sample_and_none():
    assert describe([3.0]).std == 0.0
    with pytest.raises(ValueError, match="at least one"):
        describe([])


def test_json_has_the_names_of_other_tools():
    assert describe([1.0, 2.0, 3.0]).to_json()["median"] == 2.0


def test_relative_spread():
    assert relative_spread([2.0, 2.1, 2.5]) == pytest.approx(0.25)
    assert relative_spread([]) == 0.0
