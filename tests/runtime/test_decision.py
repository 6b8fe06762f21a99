"""A part is rejected for a region that is large enough, and told why."""

from __future__ import annotations

from edgeseg.runtime.decision import decide
from edgeseg.runtime.frame.regions import Region
from edgeseg.runtime.spec.manifest import Decision

SMALL, LARGE = Region(1, 5, (0, 0, 5, 1)), Region(2, 50, (10, 10, 5, 10))


def test_no_region_is_good() -> None:
    assert decide((), Decision()).decision == "good"


def test_any_region_rejects_by_default_and_the_largest_comes_first() -> None:
    verdict = decide((SMALL, LARGE), Decision())
    assert verdict.decision == "reject"
    assert verdict.reasons == (LARGE, SMALL)


def test_regions_below_the_limit_do_not_count() -> None:
    assert decide((SMALL,), Decision(min_area_px=6)).decision == "good"
    assert decide((SMALL, LARGE), Decision(min_area_px=6)).reasons == (LARGE,)
    assert decide((SMALL,), Decision(min_area_px=5)).decision == "reject"
