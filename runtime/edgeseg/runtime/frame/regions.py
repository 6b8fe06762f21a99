"""Regions: the 8-connected pieces of a mask, as an inspection line counts them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.runtime.errors import FrameError
from edgeseg.runtime.frame.bounds import bounding_box
from edgeseg.runtime.frame.components import Components

UInt8 = npt.NDArray[np.uint8]
# Pixels looked at in one go: as many as make most frames one strip, few beside a large frame.
_STRIP_PX = 1 << 18

Scores = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
Rows = Callable[[int, int], Scores]


@dataclass(frozen=True)
class Region:
    """One connected piece of one foreground class.

    Attributes:
        class_id: Its class, 1 or above.
        area_px: Number of its pixels.
        box: Its bounding box (x, y, width, height) [px].
        mean_score: Mean of the scores over its pixels; None where no scores were given.
    """

    class_id: int
    area_px: int
    box: tuple[int, int, int, int]
    mean_score: float | None = None


class RowScores(Protocol):
    """Scores of every class that are made when their rows are asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(K, H, W)."""

    def rows(self, first: int, last: int) -> npt.NDArray[np.float32]:
        """Scores of the rows from `first` up to but not `last`, shape (K, last - first, W)."""


def find_regions(mask: UInt8, scores: Scores | RowScores | None = None) -> tuple[Region, ...]:
    """List the regions of a mask.

    Args:
        mask: Class ids, uint8, shape (H, W); 0 is the background.
        scores: Probability of the class each pixel was given, shape (H, W), or of every class, shape (K, H, W).
            float32 in [0, 1], or uint8 where 255 is 1. Or what makes them by rows.

    Returns:
        The regions, by class, the largest first; regions of equal area from top to bottom.

    Raises:
        FrameError: `mask` is not uint8 (H, W), or `scores` has another size or too few planes.
    """
    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise FrameError(f"A mask must be uint8 (H, W), found {mask.dtype} {mask.shape}; pass class ids of one frame")
    if scores is not None:
        _check_scores(scores, mask.shape, max(foreground_ids(mask), default=0))
    finder = RegionFinder(mask.shape[1])
    finder.add(mask, 0, None if scores is None else lambda first, last: _rows(scores, first, last))
    return finder.regions(levels=255 if _is_uint8(scores) else 1)


class RegionFinder:
    """The regions of a mask that is handed over in pieces, from top to bottom.

    Args:
        width: Width of the mask [px].
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._found: dict[int, Components] = {}

    def add(self, mask: UInt8, top: int, rows: Rows | None) -> None:
        """Take the next rows; such without foreground may be left out.

        Args:
            mask: Class ids, uint8 (n, width).
            top: Row of the mask that they begin at [px], even, so that regions come in the same order as of the whole.
            rows: Gives the scores of some of these rows, from one up to but not another, (K, h, width) or (h, width);
                None where there are no scores.
        """
        # Even, since OpenCV labels blocks of two rows: so labels come in the same order as of the whole mask.
        step = max(2, _STRIP_PX // max(self._width, 1) // 2 * 2)
        for start in range(0, len(mask), step):
            _, y, _, n = bounding_box(mask[start : start + step])
            if n == 0:
                continue
            first, last = start + y, start + y + n
            planes = None if rows is None else rows(first, last)
            strip = mask[first:last]
            for class_id in {*self._found, *foreground_ids(strip)}:
                components = self._found.setdefault(class_id, Components(self._width))
                own = planes[class_id] if planes is not None and planes.ndim == 3 else planes
                components.add((strip == class_id).view(np.uint8), top + first, own)

    def regions(self, levels: int = 1) -> tuple[Region, ...]:
        """The regions, by class, the largest first; regions of equal area from top to bottom.

        Args:
            levels: What a score of 1 is in the scores that were given.
        """
        found: list[Region] = []
        for class_id, components in sorted(self._found.items()):
            areas, boxes, sums = components.result()
            means = None if sums is None else sums / areas / levels
            for index in np.argsort(-areas, kind="stable").tolist():
                left, top, right, bottom = boxes[index].tolist()
                box = (left, top, right - left, bottom - top)
                found.append(Region(class_id, int(areas[index]), box, None if means is None else float(means[index])))
        return tuple(found)


def foreground_ids(mask: UInt8) -> list[int]:
    """List the class ids above 0 that occur in `mask` (uint8, (H, W)), ascending."""
    if mask.size == 0:
        return []
    return (np.flatnonzero(cv2.calcHist([mask], [0], None, [256], [0, 256]).ravel()[1:]) + 1).tolist()


def best_ious(truth: UInt8, pred: UInt8) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], int]:
    """Matches every true region of one class with the predicted region that overlaps it best.

    The match is with the best *single* predicted region, so a truth broken into crumbs is not hit by their union,
    and one predicted blob over several true regions may hit each of them.

    Args:
        truth: Where the class truly is, uint8 0 / 1, shape (H, W).
        pred: Where it was predicted, uint8 0 / 1, shape (H, W).

    Returns:
        Areas of the true regions [px], shape (R,); their best IoU in [0, 1] (0 where nothing overlaps), shape (R,);
        and the number of predicted regions.
    """
    n_truth, truth_labels, truth_stats, _ = cv2.connectedComponentsWithStats(truth, connectivity=8, ltype=cv2.CV_32S)
    n_pred, pred_labels, pred_stats, _ = cv2.connectedComponentsWithStats(pred, connectivity=8, ltype=cv2.CV_32S)
    truth_areas = truth_stats[:, cv2.CC_STAT_AREA].astype(np.int64)
    pred_areas = pred_stats[:, cv2.CC_STAT_AREA].astype(np.int64)
    both = np.flatnonzero(truth & pred)
    pairs = truth_labels.ravel()[both].astype(np.int64) * n_pred + pred_labels.ravel()[both]
    pairs, overlap = np.unique(pairs, return_counts=True)
    true_label, pred_label = pairs // n_pred, pairs % n_pred
    best = np.zeros(n_truth)
    np.maximum.at(best, true_label, overlap / (truth_areas[true_label] + pred_areas[pred_label] - overlap))
    return truth_areas[1:], best[1:], n_pred - 1


def _check_scores(scores: Scores | RowScores, shape: tuple[int, ...], class_id: int) -> None:
    if class_id == 0:
        return
    found = scores.shape
    if found[-2:] != shape or len(found) not in (2, 3) or (len(found) == 3 and found[0] <= class_id):
        raise FrameError(f"Scores of shape {found} do not fit a mask of {shape} with class {class_id}")


def _rows(scores: Scores | RowScores, first: int, last: int) -> Scores:
    return scores[..., first:last, :] if isinstance(scores, np.ndarray) else scores.rows(first, last)


def _is_uint8(scores: Scores | RowScores | None) -> bool:
    return isinstance(scores, np.ndarray) and scores.dtype == np.uint8
