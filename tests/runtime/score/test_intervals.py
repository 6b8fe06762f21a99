"""Intervals of Dice differences: pairing, groups, verdicts, and that they hold what 95 % promises."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.runtime.errors import MeasureError
from edgeseg.runtime.score.image_score import ImageScore, score_image
from edgeseg.runtime.score.intervals import dice_interval, paired_bootstrap, recall_bootstrap, seeded_bootstrap
from edgeseg.runtime.score.metrics import summarize


def from_counts(stem: str, tp: int, fp: int, fn: int, group: str = "") -> ImageScore:
    """A score of one foreground class of which only the counts matter."""
    none = np.zeros(0, np.int64)
    counts = [np.array([0, n], np.int64) for n in (tp, fp, fn)]
    return ImageScore(stem, group or stem, *counts, np.full(2, np.nan), none, none, np.zeros(0), np.zeros(2, np.int64))


def side(hits: np.ndarray, groups: list[str] | None = None) -> list[ImageScore]:
    """Images of 100 true pixels, of which ``hits`` are found."""
    names = groups or [f"{i:03}" for i in range(len(hits))]
    return [from_counts(f"{i:03}", int(n), 0, 100 - int(n), names[i]) for i, n in enumerate(hits)]


def test_the_mean_is_the_difference_of_the_printed_figures():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, (12, 8, 8), np.uint8)
    a, b = (
        [
            score_image(np.where(rng.random(m.shape) < p, 0, m).astype(np.uint8), m, 3, stem=str(i))
            for i, m in enumerate(truth)
        ]
        for p in (0.1, 0.4)
    )
    classes = ["background", "x", "y"]
    drop = paired_bootstrap(a, b, 0.01)
    assert drop.mean == pytest.approx(summarize(a, classes)["dice_mean"] - summarize(b, classes)["dice_mean"])
    assert 0 < drop.lo95 < drop.mean < drop.hi95
    assert drop.verdict == "worse"


def test_the_same_scores_have_no_difference():
    a = side(np.arange(50, 90))
    drop = paired_bootstrap(a, a, 0.0)
    assert (drop.mean, drop.lo95, drop.hi95, drop.verdict) == (0, 0, 0, "not worse")


def test_the_interval_of_dice_itself_is_that_of_the_drop_from_a_perfect_side():
    hits = np.random.default_rng(2).integers(20, 95, 60)
    groups = [f"{i // 3:03}" for i in range(60)]
    drop = paired_bootstrap(side(np.full(60, 100), groups), side(hits, groups), None)
    own = dice_interval(side(hits, groups))
    assert own == {"lo95": pytest.approx(1 - drop.hi95), "hi95": pytest.approx(1 - drop.lo95)}
    assert own["hi95"] - own["lo95"] > dice_interval(side(hits))["hi95"] - dice_interval(side(hits))["lo95"] > 0
    assert dice_interval(side(hits, ["one"] * 60)) is None
    assert dice_interval([from_counts("a", 0, 0, 0), from_counts("b", 0, 0, 0)]) is None


def test_pairing_removes_what_images_have_in_common():
    rng = np.random.default_rng(1)
    hits = rng.integers(20, 95, 60)
    drop = paired_bootstrap(side(hits), side(hits - 2), 0.05)
    assert drop.hi95 - drop.lo95 < 0.01
    assert drop.verdict == "not worse"
    assert paired_bootstrap(side(hits), side(hits - 2), 0.001).verdict == "worse"


def test_few_noisy_images_show_nothing():
    rng = np.random.default_rng(2)
    drop = paired_bootstrap(side(rng.integers(0, 100, 12)), side(rng.integers(0, 100, 12)), 0.01)
    assert drop.lo95 < 0.01 < drop.hi95
    assert drop.verdict == "not shown"


def test_better_is_a_negative_drop():
    drop = paired_bootstrap(side(np.arange(40, 60)), side(np.arange(60, 80)), 0.0)
    assert drop.hi95 < 0
    assert drop.verdict == "not worse"


def test_images_of_one_group_are_drawn_together():
    rng = np.random.default_rng(3)
    per_group = rng.integers(30, 70, 8)
    hits, groups = np.repeat(per_group, 20), [f"g{i}" for i in range(8) for _ in range(20)]
    ungrouped = paired_bootstrap(side(hits + 20), side(np.full(160, 60)), 0.01)
    grouped = paired_bootstrap(side(hits + 20, groups), side(np.full(160, 60), groups), 0.01)
    assert grouped.mean == ungrouped.mean
    assert (grouped.n_images, grouped.n_groups, ungrouped.n_groups) == (160, 8, 160)
    assert grouped.hi95 - grouped.lo95 > 3 * (ungrouped.hi95 - ungrouped.lo95)


def test_one_group_has_no_interval_and_shows_nothing():
    hits, groups = np.arange(50, 60), ["only"] * 10
    drop = paired_bootstrap(side(hits, groups), side(hits, groups), 0.5)
    assert (drop.lo95, drop.hi95, drop.verdict, drop.n_groups) == (None, None, "not shown", 1)
    json.dumps(drop.to_json(), allow_nan=False)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 100), st.randoms(use_true_random=False))
def test_the_order_of_images_does_not_matter_and_a_seed_repeats(seed, random):
    hits = np.random.default_rng(seed).integers(20, 90, 20)
    a, b = side(hits), side(hits[::-1])
    expected = paired_bootstrap(a, b, 0.01, n_resamples=200, seed=seed)
    random.shuffle(a)
    random.shuffle(b)
    assert paired_bootstrap(a, b, 0.01, n_resamples=200, seed=seed) == expected


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_swapping_the_sides_mirrors_the_interval(seed):
    rng = np.random.default_rng(seed)
    a, b = side(rng.integers(1, 90, 15)), side(rng.integers(1, 90, 15))
    there, back = paired_bootstrap(a, b, 0.01, 300), paired_bootstrap(b, a, 0.01, 300)
    assert (there.mean, there.lo95, there.hi95) == pytest.approx((-back.mean, -back.hi95, -back.lo95))


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """100 data sets of 40 images whose true drop is known; a 95 % interval of 40 draws covers it 89 to 99 times."""
    rng = np.random.default_rng(4)
    n_true, p, q = 100, 0.8, 0.75
    truth = 2 * p / (1 + p) - 2 * q / (1 + q)
    covered = 0
    for _ in range(100):
        drop = paired_bootstrap(side(rng.binomial(n_true, p, 40)), side(rng.binomial(n_true, q, 40)), 0.0, 500)
        covered += drop.lo95 <= truth <= drop.hi95
    assert 87 <= covered <= 100


def test_draws_without_any_foreground_are_left_out():
    a = [from_counts("0", 50, 0, 50), *(from_counts(str(i), 0, 0, 0) for i in range(1, 4))]
    drop = paired_bootstrap(a, a, 0.01)
    assert (drop.mean, drop.lo95, drop.hi95) == (0, 0, 0)


def test_a_class_that_the_truth_lacks_says_nothing_of_a_drop():
    """One pixel of it on one side would be half of the Dice of two classes."""
    truth = np.zeros((8, 16, 16), np.uint8)
    truth[:, :8] = 1
    rng = np.random.default_rng(0)
    masks = np.where(rng.random(truth.shape) < 0.1, 0, truth).astype(np.uint8)
    stray = masks.copy()
    stray[:, -1, -1] = 2
    a, b = (
        [score_image(m, t, 3, stem=str(i)) for i, (m, t) in enumerate(zip(one, truth, strict=True))]
        for one in (masks, stray)
    )
    drop = paired_bootstrap(a, b, 0.01)
    assert (drop.mean, drop.lo95, drop.hi95, drop.verdict) == (0, 0, 0, "not worse")
    truth[0, 8:12] = 2  # one image of eight has it: draws without that one say nothing of it either
    a, b = (
        [score_image(m, t, 3, stem=str(i)) for i, (m, t) in enumerate(zip(one, truth, strict=True))]
        for one in (masks, stray)
    )
    assert abs(paired_bootstrap(a, b, 0.01).hi95) < 0.02


def test_the_interval_of_a_few_groups_is_as_wide_as_student_says():
    """Two groups: percentiles are the two drops, 0.4 and 0.0 points; their mean has a standard error of one degree."""
    two = paired_bootstrap(side(np.array([80, 80])), side(np.array([70, 80])), 0.1)
    drops = [paired_bootstrap(side(np.array([80])), side(np.array([hit])), None).mean for hit in (70, 80)]
    assert two.hi95 - two.mean == pytest.approx(12.706 / 1.95996 * (max(drops) - two.mean), rel=1e-3)
    assert two.verdict == "not shown"


def test_intervals_of_three_groups_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(3)
    covered, truth = 0, dice_of(0.8) - dice_of(0.7)
    for _ in range(200):
        p, q = (np.clip(rng.normal(mean, 0.05, 3), 0, 1) for mean in (0.8, 0.7))
        drop = paired_bootstrap(side(rng.binomial(100, p)), side(rng.binomial(100, q)), 0.0, 300)
        covered += drop.lo95 <= truth <= drop.hi95
    assert 176 <= covered <= 200


def dice_of(found: float) -> float:
    return 2 * found / (1 + found)


def test_what_cannot_be_paired_is_refused():
    a = side(np.arange(50, 60))
    with pytest.raises(MeasureError, match=r"same images on both sides.*found 10 and 9"):
        paired_bootstrap(a, a[:9], 0.01)
    with pytest.raises(MeasureError, match="same images"):
        paired_bootstrap([], [], 0.01)
    with pytest.raises(MeasureError, match="same images"):
        paired_bootstrap([*a[:9], a[0]], a, 0.01)
    with pytest.raises(MeasureError, match=r"000: .*different truth"):
        paired_bootstrap(a, [from_counts("000", 5, 0, 5), *a[1:]], 0.01)
    with pytest.raises(MeasureError, match="no Dice"):
        paired_bootstrap([from_counts("0", 0, 0, 0)], [from_counts("0", 0, 0, 0)], 0.01)


def test_without_a_budget_there_is_no_verdict() -> None:
    hits = np.full(6, 8)
    drop = paired_bootstrap(side(hits), side(hits - 2), None)
    assert drop.verdict is None
    assert drop.mean > 0


def regions(found: list[int], groups: list[str] | None = None) -> list[ImageScore]:
    """Images of four true regions each, of which some are found."""
    names = groups or [f"{i:03}" for i in range(len(found))]
    classes, counts, none = np.ones(4, np.int64), [np.array([0, 10])] * 3, np.full(2, np.nan)
    return [
        ImageScore(
            f"{i:03}", names[i], *counts, none, classes, 9 * classes, (np.arange(4) < n) * 0.5, np.zeros(2, np.int64)
        )
        for i, n in enumerate(found)
    ]


def test_the_drop_of_regions_found_is_the_difference_of_the_printed_figures():
    a, b = regions([4, 3, 4, 4, 2, 4, 4, 4, 4, 4]), regions([3, 3, 4, 4, 1, 4, 4, 4, 4, 4])
    classes = ["background", "pit"]
    drop = recall_bootstrap(a, b, 0.0)
    assert drop.mean == pytest.approx(summarize(a, classes)["region_recall"] - summarize(b, classes)["region_recall"])
    assert drop.mean == pytest.approx(2 / 40) and (drop.n_images, drop.n_groups) == (10, 10)
    assert drop.lo95 == 0 and drop.mean < drop.hi95 <= 5 / 40 and drop.verdict == "not shown"
    assert recall_bootstrap(a, a, 0.0).verdict == "not worse"
    assert recall_bootstrap(regions([4] * 9), regions([2] * 9), 0.01).verdict == "worse"
    joined = recall_bootstrap(regions([4, 4], ["one", "one"]), regions([3, 4], ["one", "one"]), 0.0)
    assert (joined.lo95, joined.n_groups) == (None, 1)


def test_where_there_is_no_region_none_is_missed():
    with pytest.raises(MeasureError, match="No region in the truth"):
        recall_bootstrap(side(np.arange(3)), side(np.arange(3)), 0.0)


def test_one_pair_of_trainings_is_the_pair_itself():
    rng = np.random.default_rng(5)
    a, b = side(rng.integers(40, 90, 30)), side(rng.integers(40, 90, 30))
    assert seeded_bootstrap([(a, b)], 0.01) == paired_bootstrap(a, b, 0.01)


def test_trainings_that_differ_widen_the_interval():
    """Of one training 4 points are shown; where others of the same methods come out the other way they are not."""
    rng = np.random.default_rng(6)
    hits = rng.integers(40, 80, 40)
    pairs = [(side(hits), side(hits - drop)) for drop in (4, -3, 1)]
    assert paired_bootstrap(*pairs[0], 0.0).verdict == "worse"
    together = seeded_bootstrap(pairs, 0.0)
    assert together.mean == pytest.approx(np.mean([paired_bootstrap(a, b, None).mean for a, b in pairs]))
    assert together.lo95 < 0 < together.hi95 and together.verdict == "not shown"
    alike = seeded_bootstrap([(side(hits), side(hits - drop)) for drop in (3, 4, 4)], 0.0)
    assert alike.lo95 > 0 and alike.verdict == "worse"


def test_the_spread_over_trainings_is_not_too_small():
    """Of S trainings alone: the variance of the means that are drawn is the unbiased one, s^2 / S."""
    hits = np.full(10, 50)
    drops = np.array([0, 6, 20])
    together = seeded_bootstrap([(side(hits), side(hits - drop)) for drop in drops], None, n_resamples=40000)
    each = np.array([paired_bootstrap(side(hits), side(hits - drop), None).mean for drop in drops])
    stretched = each.mean() + np.sqrt(3 / 2) * (each - each.mean())
    assert (together.lo95, together.hi95) == pytest.approx((stretched.min(), stretched.max()))


def test_trainings_scored_on_other_images_are_refused():
    pairs = [(side(np.arange(40, 60)),) * 2, (side(np.arange(40, 61)),) * 2]
    with pytest.raises(MeasureError, match="same images"):
        seeded_bootstrap(pairs, None)
