"""Scoring a segmenter on samples, and keeping the scores so that rows can be compared without running again."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgeseg.runtime.data.dataset import Color, Sample, check_sizes, read_image
from edgeseg.runtime.errors import DataError
from edgeseg.runtime.files.atomic import write_json_text
from edgeseg.runtime.score.image_score import ImageScore, score_image
from edgeseg.runtime.text.textfile import read_text

_SCHEMA_VERSION = 1
_INT_ARRAYS = ("tp", "fp", "fn", "region_class", "region_area_px", "n_predicted_regions")
_FLOAT_ARRAYS = ("hd95_px", "region_iou")


class HasMask(Protocol):
    """What a segmenter returns."""

    @property
    def mask(self) -> npt.NDArray[np.uint8]:
        """Class ids, uint8, shape (H, W), the frame's own size."""


def evaluate(
    segmenter: Callable[[npt.NDArray[np.uint8]], HasMask],
    samples: Sequence[Sample],
    classes: Sequence[str],
    pixel_mm: float | None = None,
    progress: Callable[[int, int], None] | None = None,
    *,
    color: Color = "rgb",
) -> list[ImageScore]:
    """Run a segmenter over samples and score every mask at the frame's own size.

    Args:
        segmenter: Takes a frame, gray (H, W) or RGB (H, W, 3), uint8 or with a window uint16, and returns an object
            with a `mask`.
        samples: What to score, e.g. `data.split("val")`. What their masks mark as ignored counts nowhere.
        classes: Class names by id, background first.
        pixel_mm: Edge length of a pixel [mm], if known.
        progress: Called with (done, total) after every image.
        color: How frames are read; `data.color` saves a conversion. A Segmenter makes of RGB what its model needs.

    Returns:
        One score per sample, in their order.

    Raises:
        DataError: An image or mask cannot be read, their sizes differ, or the segmenter's mask has another size.
    """
    rows = evaluate_each(lambda frame: (segmenter(frame).mask,), samples, classes, pixel_mm, progress, color=color)
    return [score for (score,) in rows]


def evaluate_each(
    masks_of: Callable[[npt.NDArray[np.uint8]], Sequence[npt.NDArray[np.uint8]]],
    samples: Sequence[Sample],
    classes: Sequence[str],
    pixel_mm: float | None = None,
    progress: Callable[[int, int], None] | None = None,
    *,
    color: Color = "rgb",
) -> list[tuple[ImageScore, ...]]:
    """As `evaluate`, for several masks of each frame, such as those of several thresholds.

    Args:
        masks_of: Takes a frame and returns masks, always as many, uint8 (H, W) at the frame's size.
        samples: As for `evaluate`.
        classes: As for `evaluate`.
        pixel_mm: As for `evaluate`.
        progress: As for `evaluate`.
        color: As for `evaluate`.

    Returns:
        One tuple per sample, with a score per mask.

    Raises:
        DataError: As `evaluate`.
    """
    rows = []
    for done, sample in enumerate(samples, start=1):
        frame = read_image(sample.image, color, sample.window, thorough=True)
        truth = sample.read_truth(len(classes))
        check_sizes(sample, frame, truth)
        about = {"stem": sample.stem, "group": sample.group}
        rows.append(tuple(score_image(mask, truth, len(classes), pixel_mm, **about) for mask in masks_of(frame)))
        if progress is not None:
            progress(done, len(samples))
    return rows


def save_scores(path: Path | str, scores: Sequence[ImageScore]) -> None:
    """Write scores as JSON, one image a line, whole or not at all."""
    lines = ",\n".join(json.dumps(_to_json(score), ensure_ascii=False, allow_nan=False) for score in scores)
    write_json_text(path, f'{{"schema_version": {_SCHEMA_VERSION}, "images": [\n{lines}\n]}}\n')


def load_scores(path: Path | str) -> list[ImageScore]:
    """Read what `save_scores` wrote.

    Raises:
        DataError: The file is missing, damaged, or of another schema version.
    """
    path = Path(path)
    try:
        document = json.loads(read_text(path))
        if document["schema_version"] != _SCHEMA_VERSION:
            raise DataError(f"{path}: schema_version {document['schema_version']}, not {_SCHEMA_VERSION}; score again")
        return [_from_json(image) for image in document["images"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: no readable scores ({error!r}); remove it and score again") from error


def _to_json(score: ImageScore) -> dict[str, object]:
    return {
        "stem": score.stem,
        "group": score.group,
        "pixel_mm": score.pixel_mm,
        **{name: getattr(score, name).tolist() for name in _INT_ARRAYS},
        **{name: [None if math.isnan(x) else x for x in getattr(score, name).tolist()] for name in _FLOAT_ARRAYS},
    }


def _from_json(image: Mapping[str, object]) -> ImageScore:
    # In a float array null becomes NaN.
    arrays: dict[str, Any] = {name: np.array(image[name], np.int64) for name in _INT_ARRAYS}  # Any: the fields differ
    arrays |= {name: np.array(image[name], np.float64) for name in _FLOAT_ARRAYS}
    pixel_mm = image["pixel_mm"]
    length = None if pixel_mm is None else float(str(pixel_mm))
    return ImageScore(stem=str(image["stem"]), group=str(image["group"]), pixel_mm=length, **arrays)
