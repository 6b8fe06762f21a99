"""The most frequent mask: what can be said of an image without looking at it, where objects lie in the same places."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from edgeseg.runtime.data.dataset import DataSet, Sample
from edgeseg.runtime.score.image_score import score_image
from edgeseg.runtime.score.metrics import summarize

_SIDE_PX = 128  # every mask is sampled on such a grid, so that frames may differ in size
_MOST = 300  # images a split that are looked at, evenly spaced


def constant_mask_dice(data: DataSet) -> float | None:
    """Dice on val of one mask for all images: at each place the class that train has there most often.

    Pixels that do not count have no vote, and are not scored.

    Returns:
        `dice_mean`, from masks sampled on a coarse grid; None where neither val nor the mask has foreground.

    Raises:
        DataError: If a mask cannot be read, or a split is empty.
    """
    train, val = (_some(data.split(split)) for split in ("train", "val"))
    n_classes = len(data.classes)
    votes = np.zeros((n_classes, _SIDE_PX, _SIDE_PX), np.uint16)
    for sample in train:
        votes += np.equal.outer(np.arange(n_classes), _grid(sample, n_classes))
    answer = votes.argmax(axis=0).astype(np.uint8)
    scores = [score_image(answer, _grid(sample, n_classes), n_classes, stem=sample.stem) for sample in val]
    found = summarize(scores, data.classes)["dice_mean"]
    return None if found is None else float(str(found))


def _some(samples: Sequence[Sample]) -> list[Sample]:
    step = max(1.0, len(samples) / _MOST)
    return [samples[int(index * step)] for index in range(min(len(samples), _MOST))]


def _grid(sample: Sample, n_classes: int) -> np.ndarray:
    """Class ids and `IGNORED`, which is no class to vote for; uint8 (_SIDE_PX, _SIDE_PX)."""
    mask = sample.read_truth(n_classes)
    return np.asarray(cv2.resize(mask, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_NEAREST), np.uint8)
