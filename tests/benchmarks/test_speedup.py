import numpy as np
import pytest

from edgeseg.benchmarks.speedup import _Pool, paired_ratio, speedup


def test_the_weighted_median_equals_that_of_repeated_blocks():
    rng = np.random.default_rng(0)
    for _ in range(30):
        nested = [[rng.exponential(1.0, rng.integers(1, 9)) for _ in range(3)] for _ in range(4)]
        pool = _Pool(nested)
        counts = pool.draw(rng)
        blocks = [block for process in nested for block in process]
        repeated = np.concatenate([np.tile(b, c) for b, c in zip(blocks, counts, strict=True)])
        assert pool.median(counts) == pytest.approx(np.exp(np.median(np.log(repeated))))


def test_a_draw_has_one_process_less_and_all_blocks_of_each():
    pool = _Pool([[np.ones(2)] * 4] * 5)
    for seed in range(20):
        counts = pool.draw(np.random.default_rng(seed)).reshape(5, 4)
        assert counts.sum() == 4 * 4
        assert all(total % 4 == 0 for total in counts.sum(axis=1))


def test_ratio_and_interval(noisy):
    found = speedup(noisy(8.0, 1), noisy(2.0, 2))
    assert found.lo95 < found.ratio < found.hi95
    assert found.ratio == pytest.approx(4.0, rel=0.05)
    assert (found.n_processes, found.n_blocks) == (5, 30)


def test_it_says_the_same_of_the_same_samples_and_the_inverse_of_swapped_sides(noisy):
    a, b = noisy(3.0, 1), noisy(2.0, 2)
    assert speedup(a, b) == speedup(a, b)
    there, back = speedup(a, b), speedup(b, a)
    assert there.ratio == pytest.approx(1 / back.ratio)
    assert there.lo95 == pytest.approx(1 / back.hi95)


@pytest.mark.parametrize("slowest", [1.0, 1.4])
def test_equal_subjects_are_rarely_called_different(noisy, slowest):
    """The 95 % interval of 120 pairs of equals holds 1 in at least 90 %: five processes, each with luck of its own, on
    a machine that is up to `slowest` times as slow from round to round."""
    held = 0
    for seed in range(120):
        pace = np.random.default_rng(seed).uniform(1.0, slowest, (5, 6))
        sides = [noisy(5.0, 2 * seed + side, between=0.02) for side in (0, 1)]
        for side in sides:
            for process, of_process in zip(side, pace, strict=True):
                process[:] = [block * slow for block, slow in zip(process, of_process, strict=True)]
        found = speedup(*sides, n_resamples=200)
        held += found.lo95 <= 1 <= found.hi95
    assert held >= 108


def test_pairing_cancels_what_both_sides_share():
    rng = np.random.default_rng(0)
    slow = [[1 + 0.5 * rng.random() for _ in range(6)] for _ in range(5)]  # the machine, block by block
    a = [[np.full(20, 4.0 * s) for s in process] for process in slow]
    b = [[np.full(20, 2.0 * s) for s in process] for process in slow]
    paired, apart = speedup(a, b), speedup(a, b, paired=False)
    assert paired.hi95 - paired.lo95 < 1e-9
    assert apart.hi95 - apart.lo95 > 0.1


def test_a_machine_that_changes_its_pace_halfway_changes_no_ratio_of_one_run():
    pace = [1.0, 1.0, 1.4, 1.4, 1.4]  # of each block, for both sides
    first = [[np.full(20, 10.0 * p) for p in pace]] * 5
    second = [[np.full(60 if p > 1.0 else 400, 2.0 * p) for p in pace]] * 5  # as many as fit into the block's time
    found = speedup(first, second)
    assert (found.ratio, found.lo95, found.hi95) == pytest.approx((5.0, 5.0, 5.0))
    assert paired_ratio(first, second) == pytest.approx(5.0)
    assert paired_ratio(second, first) == pytest.approx(0.2)
    assert speedup(first, second, paired=False).ratio == pytest.approx(14.0 / 2.0)  # medians of blocks of another time


def test_one_process_has_no_interval(noisy):
    found = speedup(noisy(4.0, 1, processes=1), noisy(2.0, 2, processes=1))
    assert found.lo95 is None and found.hi95 is None and found.ratio == pytest.approx(2.0, rel=0.1)


def test_sides_that_do_not_match(noisy):
    with pytest.raises(ValueError, match="paired"):
        speedup(noisy(4.0, 1, processes=4), noisy(2.0, 2, processes=5))
    with pytest.raises(ValueError, match="sample"):
        speedup([], [])
    with pytest.raises(ValueError, match="sample"):
        speedup([[np.empty(0)]], [[np.ones(1)]])
