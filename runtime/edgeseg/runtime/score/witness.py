"""Watching which frames pass to a segmenter, so that a score says how many of them the bundle has seen before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeseg.runtime.data.pixel_hash import short_pixel_hash
from edgeseg.runtime.score.evaluate import HasMask
from edgeseg.runtime.score.metrics import ImageScore, summarize
from edgeseg.runtime.score.seen import SeenImages

_NOT_KNOWN = (
    "images that it was trained on: not known, it comes without hashes of its images; score it on images of which you "
    "know that it has not seen them"
)
_LEARNT_FROM = ("train", "val")


class Witness:
    """A segmenter that notes the hash of each frame it is given. An image that was in train or val counts as seen.

    Args:
        segmenter: Takes a uint8 frame and returns an object with a `mask`.
        known: The images behind the bundle, or None where it does not say.
    """

    def __init__(self, segmenter: Callable[[npt.NDArray[np.uint8]], HasMask], known: SeenImages | None) -> None:
        self._segmenter = segmenter
        self._known = known
        self._hashes: list[str] = []

    def __call__(self, frame: npt.NDArray[np.uint8]) -> HasMask:
        """Segment a frame, in the bundle's colour."""
        if self._known is not None:
            self._hashes.append(short_pixel_hash(frame))
        return self._segmenter(frame)

    def report(self, scores: Sequence[ImageScore], classes: Sequence[str]) -> dict[str, Any]:
        """Say what of the scored frames the bundle has seen.

        Args:
            scores: Of the frames, in their order.
            classes: Class names by id.

        Returns:
            `seen`, `accuracy_unseen`, `warnings` and `not_checked`, as in the report of `commands.evaluate`.
        """
        if self._known is None:
            return {"seen": None, "accuracy_unseen": None, "warnings": [], "not_checked": [_NOT_KNOWN]}
        known = self._known
        pairs = zip(scores, self._hashes, strict=True)
        unseen = [score for score, one in pairs if known.split_of(one) not in _LEARNT_FROM]
        counts = known.count(self._hashes)
        mixed = 0 < len(unseen) < len(scores)
        accuracy = summarize(unseen, classes) if mixed else None
        warnings = [] if len(unseen) == len(scores) else [_warning(counts, summarize(scores, classes), accuracy)]
        return {"seen": counts, "accuracy_unseen": accuracy, "warnings": warnings, "not_checked": []}


def _warning(counts: dict[str, int], over_all: dict[str, Any], unseen: dict[str, Any] | None) -> str:
    n_seen = counts["train"] + counts["val"]
    found = (
        f"of the {sum(counts.values())} images scored here the bundle was trained on {counts['train']} and chosen by "
        f"{counts['val']}; on such images it looks better than it is"
    )
    if unseen is None:
        return f"{found}. All {n_seen} are of that kind: this says nothing of new images."
    dice = f"Dice is {_dice(unseen)} over the {unseen['n_images']} others, {_dice(over_all)} over all"
    return f"{found}. {dice}."


def _dice(accuracy: dict[str, Any]) -> str:
    value = accuracy["dice_mean"]
    return "not known" if value is None else f"{value:.3f}"
