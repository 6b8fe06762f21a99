"""How far the masks of files that say they are the same network lie apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.export.score_file import score_file
from edgeseg.runtime.data.dataset import DataSet, Sample
from edgeseg.runtime.data.ignored import IGNORED
from edgeseg.runtime.files.png import PackedMasks, UInt8, read_mask_png
from edgeseg.runtime.score.image_score import ImageScore
from edgeseg.runtime.score.metrics import summarize
from edgeseg.runtime.spec.model_spec import ModelSpec


@dataclass(frozen=True)
class Masks:
    """What a file made of some images.

    Attributes:
        masks: Class ids and `IGNORED` where the truth is, uint8 (H, W), one an image; gone through more than once.
        dice: Mean foreground Dice over them; None where no class is there.
        scores: Against the truth, one an image.
    """

    masks: Iterable[UInt8]
    dice: float | None
    scores: Sequence[ImageScore]


def masks_of(file: Path, spec: ModelSpec, data: DataSet, samples: Sequence[Sample]) -> Masks:
    """Run a file over samples, through the Segmenter.

    Args:
        file: Model file.
        spec: What describes it.
        data: For its classes and colour.
        samples: At least one.

    Raises:
        BackendError: If no engine here takes the file.
        DataError: If an image cannot be read.
    """
    masks = PackedMasks()
    scores = score_file(file, spec, data, samples, lambda _sample, mask: masks.add(mask))
    return Masks(masks, mean_dice(scores, data), scores)


def mean_dice(scores: Sequence[ImageScore], data: DataSet) -> float | None:
    """Mean foreground Dice; None where no class is there."""
    mean: Any = summarize(scores, data.classes)["dice_mean"]
    return None if mean is None else float(mean)


def agreement(a: Path, b: Path) -> float:
    """Share of equal pixels in [0, 1], of those that count, between two folders of masks of the same stems."""
    return float(agreements((a, b))[0, 1])


def agreements(folders: Sequence[Path]) -> np.ndarray:
    """Share of equal pixels, as `agreement` has it, between any two of several folders, float64 (n, n)."""
    equal, total = np.zeros((len(folders), len(folders)), np.int64), 0
    for path in sorted(folders[0].glob("*.png")):
        masks = [read_mask_png(folder / path.name) for folder in folders]
        n_ignored = int((masks[0] == IGNORED).sum())  # the same pixels in all
        total += masks[0].size - n_ignored
        for i, mask in enumerate(masks):
            for j, other in enumerate(masks[i:], start=i):
                equal[i, j] += int((mask == other).sum()) - n_ignored
    shares: np.ndarray = np.maximum(equal, equal.T) / max(1, total)
    return shares
