"""Good or reject: what an inspection line wants to know of a part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edgeseg.runtime.frame.regions import Region
from edgeseg.runtime.spec.manifest import Decision


@dataclass(frozen=True)
class Verdict:
    """The decision on one part.

    Attributes:
        decision: `good` or `reject`.
        reasons: The regions it was rejected for, the largest first; empty for a good part.
    """

    decision: Literal["good", "reject"]
    reasons: tuple[Region, ...]


def decide(regions: Sequence[Region], decision: Decision) -> Verdict:
    """Reject a part with at least one region of `decision.min_area_px` or more.

    The probability threshold has been applied by then: it made the mask the regions are of.

    Args:
        regions: Foreground regions of the part's mask.
        decision: The thresholds of the bundle.
    """
    reasons = sorted((region for region in regions if region.area_px >= decision.min_area_px), key=_area, reverse=True)
    return Verdict("reject" if reasons else "good", tuple(reasons))


def _area(region: Region) -> int:
    return region.area_px
