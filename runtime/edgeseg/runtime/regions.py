"""Regions: the 8-connected pieces of a mask, as an inspection line counts them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.runtime.errors import FrameError

UInt8 = npt.NDArray[np.uint8]
Scores = npt.NDArray[np.uint8] | npt.NDArray[np.float32]


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


def find_regions(mask: UInt8, scores: Scores | None = None) -> tuple[Region, ...]:
    """Lists the regions of a mask.

    Args:
        mask: Class ids, uint8, shape (H, W); 0 is the background.
        scores: Probability of the class each pixel was given, shape (H, W), or of every class, shape (K, H, W).
            float32 in [0, 1], or uint8 where 255 is 1.

    Returns:
        The regions, by class, the largest first; regions of equal area from top to bottom.

    Raises:
        FrameError: ``mask`` is not uint8 (H, W), or ``scores`` has another size or too few planes.
    """
    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise FrameError(f"A mask must be uint8 (H, W), found {mask.dtype} {mask.shape}; pass class ids of one frame")
    found: list[Region] = []
    for class_id in foreground_ids(mask):
        of_class = (mask == class_id).view(np.uint8)
        x, y, width, height = cv2.boundingRect(of_class)
        window = (slice(y, y + height), slice(x, x + width))
        n, labels, stats, _ = cv2.connectedComponentsWithStats(of_class[window], connectivity=8, ltype=cv2.CV_32S)
        means = None if scores is None else _means(_plane(scores, class_id, mask.shape)[window], labels, n)
        pieces = [
            Region(
                class_id=class_id,
                area_px=int(row[cv2.CC_STAT_AREA]),
                box=(int(row[0]) + x, int(row[1]) + y, int(row[2]), int(row[3])),
                mean_score=None if means is None else float(means[label]),
            )
            for label, row in enumerate(stats[1:n], start=1)
        ]
        found += sorted(pieces, key=lambda region: -region.area_px)
    return tuple(found)


def foreground_ids(mask: UInt8) -> list[int]:
    """Lists the class ids above 0 that occur in ``mask`` (uint8, (H, W)), ascending."""
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


def _plane(scores: Scores, class_id: int, shape: tuple[int, ...]) -> Scores:
    if scores.shape[-2:] != shape or scores.ndim not in (2, 3) or (scores.ndim == 3 and len(scores) <= class_id):
        raise FrameError(f"Scores of shape {scores.shape} do not fit a mask of {shape} with class {class_id}")
    return scores if scores.ndim == 2 else scores[class_id]


def _means(scores: Scores, labels: npt.NDArray[np.int32], n: int) -> npt.NDArray[np.float64]:
    inside = labels > 0
    flat = labels[inside]
    sums = np.bincount(flat, weights=scores[inside], minlength=n)
    means: npt.NDArray[np.float64] = sums / np.maximum(np.bincount(flat, minlength=n), 1)
    return means / 255 if scores.dtype == np.uint8 else means
