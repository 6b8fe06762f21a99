"""The metrics, defined once: the `accuracy` of every row, table and manifest is made here.

Class 0 is the background; every mean is over the other classes, but for `miou`, which is over all as the field has
it. Ignored pixels count nowhere. Scores of single images are in `image_score`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgeseg.runtime.errors import MeasureError
from edgeseg.runtime.score.image_score import ImageScore, dice, iou, mean_or_nan, score_image

__all__ = [
    "HIT_IOU", "ImageScore", "dice", "image_dice", "iou", "mean_or_nan", "score_image", "summarize",
    "summarize_classes",
]  # fmt: skip

HIT_IOU = 0.1  # A true region is hit from this IoU on: found, however roughly outlined.

Json = dict[str, object]  # one accuracy block, ready for json.dump
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def summarize(scores: Sequence[ImageScore], classes: Sequence[str]) -> Json:
    """Sum the scores of a split.

    Args:
        scores: One per image of the split.
        classes: Class names by id, background first.

    Returns:
        Plain values for JSON; what cannot be estimated is None (or says why), never 0:

        - `dice_mean`, `dice` {class}, `iou_mean`, `iou` {class}: from counts summed over the split; the means
          are over foreground classes. A class that is in no truth and no prediction is None and in no mean.
        - `miou`: mean IoU over all classes, the background included; from the same counts.
        - `per_image` {median, p5, share_below_0.5, n}: of each image's Dice, the mean over the foreground classes in
          its truth or prediction. Images without foreground in the truth are not among them: they are judged by
          `false_regions_per_negative_frame`.
        - `hd95` {class: {value_px, value_mm, n}}: mean over the n images where both masks have the class.
        - `region_recall`: share of true regions hit (IoU >= 0.1 with one predicted region of their class), over
          `n_regions`; `small_region_recall`: the same among those not larger than `small_region_px`, the lowest
          quartile of all true regions' areas in these scores.
        - `false_regions_per_negative_frame`: predicted regions in frames without foreground, per such frame.
        - `n_images`, `n_groups`, `n_negative_frames`.

    Raises:
        MeasureError: There are no scores, or they are of another number of classes.
    """
    _check(scores, classes)
    names = list(classes)[1:]
    tp, fp, fn = _sums(scores)
    all_iou = iou(tp, fp, fn)
    class_dice, class_iou = dice(tp, fp, fn)[1:], all_iou[1:]
    return {
        "dice_mean": _known(mean_or_nan(class_dice)),
        "dice": dict(zip(names, map(_known, class_dice), strict=True)),
        "iou_mean": _known(mean_or_nan(class_iou)),
        "iou": dict(zip(names, map(_known, class_iou), strict=True)),
        "miou": _known(mean_or_nan(all_iou)),
        "per_image": _per_image(scores),
        "hd95": {name: _hd95(scores, class_id) for class_id, name in enumerate(names, start=1)},
        **_region_recalls(scores),
        **_false_regions(scores),
        "n_images": len(scores),
        "n_groups": len({score.group for score in scores}),
    }


def summarize_classes(scores: Sequence[ImageScore], classes: Sequence[str]) -> dict[str, Json]:
    """Sum the scores of a split class by class, the background included.

    Args:
        scores: One per image of the split.
        classes: Class names by id, background first.

    Returns:
        By class: `dice`, `iou`, `precision` = TP / (TP + FP), `recall` = TP / (TP + FN) from counts summed over
        the split, `hd95` and `region_recall` with `n_regions` as in `summarize`, `n_images` that have the class
        in their truth, and its pixels in all truths (`n_true_px`) and predictions (`n_predicted_px`). What cannot
        be estimated is None. The background has no distance and no regions.

    Raises:
        MeasureError: There are no scores, or they are of another number of classes.
    """
    _check(scores, classes)
    tp, fp, fn = _sums(scores)
    none = np.zeros_like(tp)
    ratios = {
        "dice": dice(tp, fp, fn),
        "iou": iou(tp, fp, fn),
        "precision": iou(tp, fp, none),
        "recall": iou(tp, none, fn),
    }
    return {
        name: {key: _known(values[class_id]) for key, values in ratios.items()}
        | {"hd95": _hd95(scores, class_id), **_region_recall_of(scores, class_id)}
        | {
            "n_images": sum(bool(score.tp[class_id] + score.fn[class_id]) for score in scores),
            "n_true_px": int(tp[class_id] + fn[class_id]),
            "n_predicted_px": int(tp[class_id] + fp[class_id]),
        }
        for class_id, name in enumerate(classes)
    }


def image_dice(score: ImageScore) -> float:
    """Mean Dice of one image over the foreground classes in its truth or prediction; NaN if there are none."""
    return mean_or_nan(dice(score.tp, score.fp, score.fn)[1:])


def _check(scores: Sequence[ImageScore], classes: Sequence[str]) -> None:
    if not scores:
        raise MeasureError("No image was scored, so there is nothing to sum up; choose a split that has images")
    wrong = [score.stem for score in scores if len(score.tp) != len(classes)]
    if wrong:
        raise MeasureError(f"{wrong[0]}: scored with another number of classes than {list(classes)}; score it again")


def _sums(scores: Sequence[ImageScore]) -> tuple[Ints, Ints, Ints]:
    """True positives, false positives, false negatives of all images, int64 (K,) each."""
    tp, fp, fn = (np.sum([getattr(score, key) for score in scores], axis=0) for key in ("tp", "fp", "fn"))
    return tp, fp, fn


def _per_image(scores: Sequence[ImageScore]) -> Json:
    values = np.array([image_dice(score) for score in scores if score.has_foreground])
    if not values.size:
        return {"median": None, "p5": None, "share_below_0.5": None, "n": 0}
    return {
        "median": float(np.median(values)),
        "p5": float(np.percentile(values, 5)),
        "share_below_0.5": float(np.mean(values < 0.5)),
        "n": int(values.size),
    }


def _hd95(scores: Sequence[ImageScore], class_id: int) -> Json:
    measured = [score for score in scores if not math.isnan(score.hd95_px[class_id])]
    result: Json = {"value_px": None, "n": len(measured)}
    if measured:
        result["value_px"] = float(np.mean([score.hd95_px[class_id] for score in measured]))
    sizes = {score.pixel_mm for score in scores}
    if None not in sizes:
        in_mm = [score.hd95_px[class_id] * (score.pixel_mm or math.nan) for score in measured]
        result["value_mm"] = float(np.mean(in_mm)) if in_mm else None
    return result


def _region_recalls(scores: Sequence[ImageScore]) -> Json:
    areas = np.concatenate([score.region_area_px for score in scores])
    hit = np.concatenate([score.region_iou for score in scores]) >= HIT_IOU
    if not areas.size:
        return dict.fromkeys(("region_recall", "small_region_recall", "small_region_px")) | {"n_regions": 0}
    limit = float(np.percentile(areas, 25))
    small = areas <= limit
    return {
        "region_recall": float(hit.mean()),
        "n_regions": int(areas.size),
        "small_region_recall": float(hit[small].mean()),
        "small_region_px": limit,
        "n_small_regions": int(small.sum()),
    }


def _region_recall_of(scores: Sequence[ImageScore], class_id: int) -> Json:
    hit = np.concatenate([score.region_iou[score.region_class == class_id] for score in scores]) >= HIT_IOU
    return {"region_recall": float(hit.mean()) if hit.size else None, "n_regions": int(hit.size)}


def _false_regions(scores: Sequence[ImageScore]) -> Json:
    negatives = [score for score in scores if score.is_negative]
    n_false = sum(int(score.n_predicted_regions.sum()) for score in negatives)
    return {
        "false_regions_per_negative_frame": n_false / len(negatives) if negatives else "not estimable (0 negatives)",
        "n_negative_frames": len(negatives),
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
