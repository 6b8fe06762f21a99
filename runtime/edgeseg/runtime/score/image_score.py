"""What one predicted mask got right and wrong; `metrics` sums this over a split.

Counts are kept per image, so that a split's figures, their intervals and any sub-group come from the same numbers
without running a model again.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.runtime.data.ignored import IGNORED
from edgeseg.runtime.errors import DataError
from edgeseg.runtime.frame.bounds import bounding_box
from edgeseg.runtime.frame.regions import best_ious, foreground_ids

UInt8 = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64] | Floats  # sums over weighted images are floats


@dataclass(frozen=True, eq=False)
class ImageScore:
    """What one predicted mask got right and wrong. Arrays over classes have length K and start with the background.

    Pixels that the truth marks as ignored are in none of them.

    Attributes:
        stem: Which image.
        group: Its part, patient or series.
        tp: Pixels of each class predicted as such, int64 (K,).
        fp: Pixels predicted as the class that are another, int64 (K,).
        fn: Pixels of the class predicted as another, int64 (K,).
        hd95_px: 95 % Hausdorff distance [px], float64 (K,); NaN for the background and where either mask is empty.
        region_class: Class of every true region, int64 (R,).
        region_area_px: Its area [px], int64 (R,).
        region_iou: Its IoU with the best single predicted region of its class, float64 (R,).
        n_predicted_regions: Number of predicted regions of each class, int64 (K,); 0 for the background.
        pixel_mm: Edge length of a pixel [mm], or None if unknown.
    """

    stem: str
    group: str
    tp: Ints
    fp: Ints
    fn: Ints
    hd95_px: Floats
    region_class: Ints
    region_area_px: Ints
    region_iou: Floats
    n_predicted_regions: Ints
    pixel_mm: float | None = None

    @property
    def is_negative(self) -> bool:
        """Whether the truth has no foreground at all (a good part); of no pixel that counts nothing can be said."""
        return bool((self.tp + self.fn)[0]) and not self.has_foreground

    @property
    def has_foreground(self) -> bool:
        """Whether the truth has foreground that counts."""
        return bool((self.tp + self.fn)[1:].any())


def score_image(
    pred: UInt8, truth: UInt8, n_classes: int, pixel_mm: float | None = None, *, stem: str = "", group: str = ""
) -> ImageScore:
    """Compare one predicted mask with the truth.

    What was predicted on ignored pixels is cut away first: regions and their boundaries end there on both sides.

    Args:
        pred: Class ids, uint8, shape (H, W).
        truth: Class ids, uint8, shape (H, W), and `IGNORED` where pixels do not count.
        n_classes: Number of classes K, background included.
        pixel_mm: Edge length of a pixel [mm], if known.
        stem: Which image.
        group: Its group; `stem` if empty.

    Raises:
        DataError: The masks differ in size, or hold an id of `n_classes` or above.
    """
    if pred.shape != truth.shape or pred.ndim != 2:
        raise DataError(f"{stem}: predicted mask {pred.shape} and truth {truth.shape} must have the same (H, W)")
    pred, truth, n_ignored = _cut_away(pred, truth)
    counts = _confusion(pred, truth, n_classes, stem)  # (K, K): truth, pred
    counts[0, 0] -= n_ignored
    tp = np.diagonal(counts).copy()
    hd95 = np.full(n_classes, np.nan)
    n_predicted = np.zeros(n_classes, np.int64)
    classes: list[Ints] = [np.zeros(0, np.int64)]
    areas: list[Ints] = [np.zeros(0, np.int64)]
    ious: list[Floats] = [np.zeros(0)]
    for class_id in sorted({*foreground_ids(pred), *foreground_ids(truth)}):
        of_pred, of_truth = _window((pred == class_id).view(np.uint8), (truth == class_id).view(np.uint8))
        hd95[class_id] = hausdorff95_px(of_pred, of_truth)
        area, iou, n_predicted[class_id] = best_ious(of_truth, of_pred)
        classes.append(np.full(len(area), class_id, np.int64))
        areas.append(area)
        ious.append(iou)
    return ImageScore(
        stem=stem,
        group=group or stem,
        tp=tp,
        fp=counts.sum(axis=0) - tp,
        fn=counts.sum(axis=1) - tp,
        hd95_px=hd95,
        region_class=np.concatenate(classes),
        region_area_px=np.concatenate(areas),
        region_iou=np.concatenate(ious),
        n_predicted_regions=n_predicted,
        pixel_mm=pixel_mm,
    )


def hausdorff95_px(pred: UInt8, truth: UInt8) -> float:
    """95 % Hausdorff distance between the boundaries of two binary masks.

    A boundary is the pixels of the mask with a 4-neighbour outside it; the frame's edge counts as outside. Of the two
    directions (pred to truth, truth to pred) the larger 95th percentile is taken, as MONAI does.

    Args:
        pred: uint8 0 / 1, shape (H, W).
        truth: uint8 0 / 1, shape (H, W).

    Returns:
        The distance [px]; NaN if either mask is empty.

    Reference:
        Huttenlocher et al. 1993, "Comparing images using the Hausdorff distance", IEEE TPAMI 15(9), section 2.
    """
    pred_edge, truth_edge = _boundary(pred), _boundary(truth)
    if not pred_edge.any() or not truth_edge.any():
        return float("nan")
    there = np.percentile(_distances(pred_edge, truth_edge), 95)
    back = np.percentile(_distances(truth_edge, pred_edge), 95)
    return float(max(there, back))


def dice(tp: Counts, fp: Counts, fn: Counts) -> Floats:
    """Dice from counts, `2 tp / (2 tp + fp + fn)`, elementwise; NaN where the class is in neither mask."""
    return _ratio(2 * tp.astype(np.float64), fp + fn)


def iou(tp: Counts, fp: Counts, fn: Counts) -> Floats:
    """Intersection over union from counts, elementwise; NaN where the class is in neither mask."""
    return _ratio(tp.astype(np.float64), fp + fn)


def mean_or_nan(values: Floats) -> float:
    """Mean of what is not NaN; NaN (without numpy's warning) if nothing is left."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _ratio(hit: Floats, missed: Counts) -> Floats:
    total = hit + missed
    ratio = np.full(total.shape, np.nan)
    np.divide(hit, total, out=ratio, where=total > 0)
    return ratio


def _cut_away(pred: UInt8, truth: UInt8) -> tuple[UInt8, UInt8, int]:
    """Both masks with background where the truth is ignored, and the number of these pixels."""
    if truth.max(initial=0) != IGNORED:
        return pred, truth, 0
    ignored = truth == IGNORED
    pred, truth = (np.where(ignored, np.uint8(0), mask) for mask in (pred, truth))
    return pred, truth, int(np.count_nonzero(ignored))


def _confusion(pred: UInt8, truth: UInt8, n_classes: int, stem: str) -> Ints:
    """Counts of (truth, pred) pairs, int64 (K, K)."""
    highest = max(int(pred.max(initial=0)), int(truth.max(initial=0)))
    if highest >= n_classes:
        raise DataError(f"{stem}: a mask holds the id {highest}, but there are {n_classes} classes; check the list")
    pairs = truth.astype(np.uint16) * np.uint16(n_classes) + pred
    return np.bincount(pairs.ravel(), minlength=n_classes**2).reshape(n_classes, n_classes).astype(np.int64)


def _window(pred: UInt8, truth: UInt8) -> tuple[UInt8, UInt8]:
    """Cut both masks to the box around what is in either: boundaries, distances and regions stay the same."""
    x, y, width, height = bounding_box(pred | truth)
    return pred[y : y + height, x : x + width], truth[y : y + height, x : x + width]


def _boundary(mask: UInt8) -> npt.NDArray[np.bool_]:
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    inner = cv2.erode(mask, cross, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.not_equal(mask, inner)


def _distances(pixels: npt.NDArray[np.bool_], edge: npt.NDArray[np.bool_]) -> Floats:
    """Euclidean distance of each of `pixels` to the nearest pixel of `edge` [px], float64 (n,).

    Roots of whole numbers, whatever OpenCV's float32 makes of them: its last digit differs from run to run, and bundles
    hold these figures.
    """
    elsewhere = np.logical_not(edge).view(np.uint8)
    near = cv2.distanceTransform(elsewhere, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[pixels]
    exact: Floats = np.sqrt(np.rint(np.square(near, dtype=np.float64)))
    return exact
