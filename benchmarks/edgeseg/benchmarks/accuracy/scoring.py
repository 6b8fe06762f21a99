"""The accuracy of one subject, by the scorer of every other table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgeseg.benchmarks.accuracy.images import Images
from edgeseg.benchmarks.subject import Frame
from edgeseg.runtime.score.evaluate import HasMask, evaluate
from edgeseg.runtime.score.intervals import dice_interval
from edgeseg.runtime.score.metrics import summarize, summarize_classes


def score(
    segmenter: Callable[[Frame], HasMask], images: Images, color: Any, progress: Callable[[], None]
) -> dict[str, Any]:
    """Score a segmenter.

    Args:
        segmenter: Frame in, mask out.
        images: What it is shown.
        color: How frames are read, `gray` or `rgb`.
        progress: Called after every image.

    Returns:
        What is said of the images; `dice_mean` and all else of `metrics.summarize`, `dice_interval` {lo95, hi95} over
        groups, `per_class`.
    """
    scores = evaluate(
        segmenter, images.samples, images.classes, images.pixel_mm, lambda _done, _all: progress(), color=color
    )
    return {
        **images.about,
        **summarize(scores, images.classes),
        "dice_interval": dice_interval(scores),
        "per_class": summarize_classes(scores, images.classes),
    }
