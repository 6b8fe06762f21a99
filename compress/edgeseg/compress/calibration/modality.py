"""Whether calibration images come from the same kind of camera or probe as the training images.

Ranges taken on images of another modality are ranges of another network: they clip or waste levels, silently. Five
figures of each image tell modalities apart that are worth telling apart; a set of images whose median lies outside
what training images span, by more than half their span, is refused; so is one whose histogram of gray levels is farther
from that of all training images than nearly every single training image is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgeseg.runtime.errors import DataError

FIGURES = ("mean", "contrast", "dark_end", "bright_end", "sharpness")
MARGIN = 0.5  # of the span of the training images
MIN_MARGIN = 4.0  # gray levels: training images of one lamp and one part span next to nothing
BINS = 32  # of a histogram of gray levels
_SPAN = (1, 99)  # percentiles of the training images that count as their span: one odd image is not the rule


@dataclass(frozen=True)
class PixelStatistics:
    """Figures of a set of images, in gray levels 0..255: 1st percentile, median and 99th percentile over the images.

    Attributes:
        mean: Mean pixel.
        contrast: Standard deviation of the pixels.
        dark_end: 1st percentile of the pixels.
        bright_end: 99th percentile of the pixels.
        sharpness: Mean absolute difference of neighbours.
        distance: Of each image's histogram to that of all: how far, on average, a pixel would have to move.
        histogram: Share of the pixels of all images in each of 32 equal bins.
        channels: 1 for gray, 3 for RGB.
        n_images: How many images.
    """

    mean: tuple[float, float, float]
    contrast: tuple[float, float, float]
    dark_end: tuple[float, float, float]
    bright_end: tuple[float, float, float]
    sharpness: tuple[float, float, float]
    distance: tuple[float, float, float]
    histogram: tuple[float, ...]
    channels: int
    n_images: int

    def to_json(self) -> dict[str, Any]:
        """For the record of a step."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def pixel_statistics(images: Iterable[np.ndarray]) -> PixelStatistics:
    """Figures of a set of images.

    Args:
        images: uint8 (N, H, W, C) each, as the network eats them.

    Raises:
        DataError: If there are none.
    """
    rows, histograms, channels = [], [], 0
    for batch in images:
        for pixels in batch:
            channels = pixels.shape[2]
            gray = pixels.astype(np.float32).mean(axis=2)
            rows.append(_figures(gray))
            histograms.append(np.histogram(gray, BINS, (0, 256))[0] / gray.size)
    if not rows:
        raise DataError("there are no images to look at; name a folder that has some.")
    common = np.mean(histograms, axis=0)
    rows = [(*row, _distance(one, common)) for row, one in zip(rows, histograms, strict=True)]
    low, middle, high = np.percentile(np.array(rows), (_SPAN[0], 50, _SPAN[1]), axis=0)
    names = (*FIGURES, "distance")
    figures = {name: (float(low[i]), float(middle[i]), float(high[i])) for i, name in enumerate(names)}
    return PixelStatistics(**figures, histogram=tuple(map(float, common)), channels=channels, n_images=len(rows))


def check_modality(found: PixelStatistics, training: PixelStatistics) -> None:
    """Refuse images that are not of the training images' kind.

    Args:
        found: Of the images to calibrate on.
        training: Of training images, the same geometry.

    Raises:
        DataError: With every figure that is out of range.
    """
    if found.channels != training.channels:
        raise DataError(
            f"the images have {found.channels} channels, the training images {training.channels}. "
            "Calibrate on images of the training split's kind."
        )
    faults = []
    for name in FIGURES:
        low, _, high = getattr(training, name)
        margin = max(MARGIN * (high - low), MIN_MARGIN)
        middle = getattr(found, name)[1]
        if not low - margin <= middle <= high + margin:
            faults.append(f"{name.replace('_', ' ')} {middle:.1f} (training {low:.1f} to {high:.1f})")
    distance = _distance(np.array(found.histogram), np.array(training.histogram))
    farthest = max(training.distance[2], MIN_MARGIN)
    if distance > farthest:
        faults.append(f"histogram {distance:.1f} away (training images up to {farthest:.1f})")
    if faults:
        raise DataError(
            f"these {found.n_images} images are of another modality than the training images: {', '.join(faults)} "
            "gray levels. Ranges taken on them would not fit. Calibrate on images of the training split's kind."
        )


def _figures(gray: np.ndarray) -> tuple[float, ...]:
    dark, bright = np.percentile(gray, (1, 99))
    steps = [np.abs(np.diff(gray, axis=axis)).mean() if gray.shape[axis] > 1 else 0.0 for axis in (0, 1)]
    return float(gray.mean()), float(gray.std()), float(dark), float(bright), float(np.mean(steps))


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """Earth mover's distance of two histograms [gray levels]."""
    return float(np.abs(np.cumsum(a - b)).sum() * 256 / BINS)
