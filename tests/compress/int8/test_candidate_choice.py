"""Which INT8 candidate is taken: told apart by Dice, then like FP32, then simple."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.compress.int8.candidate_choice import SAME_AGREEMENT, Evidence, choose
from edgeseg.runtime.score.image_score import ImageScore
from edgeseg.runtime.score.metrics import summarize

CLASSES = ("background", "part")


def scores(hits: list[int], group: str | None = None) -> list[ImageScore]:
    """Images with 100 true pixels of which so many were hit, and nothing false."""
    none, nan = np.zeros(0, np.int64), np.full(2, np.nan)
    return [
        ImageScore(
            stem=str(i),
            group=group or str(i),
            tp=np.array([900, hit]),
            fp=np.array([100 - hit, 0]),
            fn=np.array([0, 100 - hit]),
            hd95_px=nan,
            region_class=none,
            region_area_px=none,
            region_iou=np.zeros(0),
            n_predicted_regions=np.zeros(2, np.int64),
        )
        for i, hit in enumerate(hits)
    ]


def evidence(hits: list[int], agreement: float, group: str | None = None) -> Evidence:
    its = scores(hits, group)
    return Evidence(its, float(summarize(its, CLASSES)["dice_mean"]), agreement)  # type: ignore[arg-type]


GOOD = [80, 70, 90, 60, 85, 75]
LUCKY = [95, 60, 99, 50, 90, 70]  # higher on some, lower on others
BAD = [60, 50, 70, 40, 65, 55]  # lower everywhere


def test_the_lucky_one_loses_to_the_one_like_fp32() -> None:
    found = {"simple": evidence(GOOD, 0.95), "like fp32": evidence(GOOD[::-1], 0.99), "lucky": evidence(LUCKY, 0.90)}
    choice = choose(found)
    assert choice.best == "lucky" and choice.taken == "like fp32"
    assert not any(choice.told_apart.values())
    assert choice.reasons == dict.fromkeys(("simple", "lucky"), "agrees less with FP32")
    drop = choice.drops["like fp32"]
    assert drop is not None and drop.lo95 is not None and drop.lo95 <= 0 < drop.mean and choice.drops["lucky"] is None


def test_what_is_shown_to_be_worse_is_not_taken_however_like_fp32() -> None:
    choice = choose({"bad": evidence(BAD, 0.999), "good": evidence(GOOD, 0.9)})
    assert choice.taken == choice.best == "good"
    assert choice.told_apart == {"bad": True, "good": False}
    assert choice.reasons == {"bad": "its Dice is shown to be below the best"}


@pytest.mark.parametrize(("less", "taken"), [(SAME_AGREEMENT / 2, "simple"), (2 * SAME_AGREEMENT, "other")])
def test_of_those_alike_the_simplest_is_taken(less: float, taken: str) -> None:
    choice = choose({"simple": evidence(GOOD, 0.98 - less), "other": evidence(GOOD, 0.98)})
    assert choice.taken == taken
    other = next(name for name in ("simple", "other") if name != taken)
    assert list(choice.reasons) == [other]
    assert ("is less simple" in choice.reasons[other]) == (taken == "simple")


def test_one_group_of_images_tells_nothing_apart() -> None:
    choice = choose({"bad": evidence(BAD, 0.99, "part 1"), "good": evidence(GOOD, 0.9, "part 1")})
    assert choice.taken == "bad" and choice.best == "good" and not choice.told_apart["bad"]


def test_without_any_foreground_agreement_decides_alone() -> None:
    empty = [0] * 6
    nothing = [one.__class__(**{**vars(one), "fn": np.zeros(2, np.int64)}) for one in scores(empty)]
    choice = choose({"a": Evidence(nothing, None, 0.5), "b": Evidence(nothing, None, 1.0)})
    assert choice.taken == "b" and set(choice.drops.values()) == {None}


def test_one_candidate_is_taken() -> None:
    assert choose({"only": evidence(BAD, 0.1)}).taken == "only"
