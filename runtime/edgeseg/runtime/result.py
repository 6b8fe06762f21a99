"""What a call of a Segmenter returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edgeseg.runtime.frame.regions import Region


@dataclass(frozen=True)
class Result:
    """What was seen in one frame.

    Attributes:
        mask: Class ids, uint8 (H, W) at the frame's size.
        probability: float32 (K, H, W) per class, summing to 1 over K; None unless asked for.
        regions: Connected regions of the mask, or None unless asked for.
        timings_ms: `pre` (colour, resize, pad), `infer`, `post` (up to the full-size mask) and their sum `total`
            [ms]. Probability and regions are outside, under `extras` where asked for. From `batch`, times of frames
            that shared an engine call are equal shares of it.
    """

    mask: np.ndarray
    probability: np.ndarray | None
    regions: tuple[Region, ...] | None
    timings_ms: Mapping[str, float]


def times_ms(pre_ns: int, infer_ns: int, post_ns: int) -> dict[str, float]:
    """Return the times of the three stages and their sum [ms]."""
    return {
        "pre": pre_ns / 1e6,
        "infer": infer_ns / 1e6,
        "post": post_ns / 1e6,
        "total": (pre_ns + infer_ns + post_ns) / 1e6,
    }
