"""How far the masks of files that say they are the same network lie apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.export.score_file import score_file
from edgeseg.runtime.data.dataset import DataSet, Sample
from edgeseg.runtime.data.ignored import IGNORED
from edgeseg.runtime.model_spec import ModelSpec
from edgeseg.runtime.png import PackedMasks, UInt8, read_mask_png
from edgeseg.runtime.score.image_score import ImageScore
from edgeseg.runtime.score.intervals import paired_bootstrap
from edgeseg.runtime.score.metrics import summarize

# What one plan's files may differ by, as shares: half a per cent of the pixels, a tenth of a point of Dice.
MAX_PIXELS = 0.005
MAX_DICE = 0.001


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


def compare_pairs(found: Mapping[str, Masks | str]) -> list[dict[str, Any]]:
    """Hold every two files against each other.

    Args:
        found: Masks by file, of the same images; or why there are none.

    Returns:
        For each pair `a b status reason pixels_differ dice_difference lo95 hi95 holds`: the share of mask pixels that
        differ, of those of all images that count, and Dice of `a` less that of `b` with its interval, as shares;
        `status` is `ok`, or `left out` with a reason. What holds is the difference on these images, whatever its
        interval.
    """
    return [_pair(a, b, found[a], found[b]) for a, b in combinations(found, 2)]


def _pair(name_a: str, name_b: str, a: Masks | str, b: Masks | str) -> dict[str, Any]:
    pair: dict[str, Any] = {"a": name_a, "b": name_b, "status": "left out", "reason": None}
    pair |= dict.fromkeys(("pixels_differ", "dice_difference", "lo95", "hi95", "holds"))
    if isinstance(a, str) or isinstance(b, str):
        reasons = [f"{name}: {its.rstrip('.')}" for name, its in ((name_a, a), (name_b, b)) if isinstance(its, str)]
        return pair | {"reason": "; ".join(reasons)}
    differ = total = 0
    for one, other in zip(a.masks, b.masks, strict=True):
        differ += int(np.count_nonzero(one != other))
        total += int(np.count_nonzero(one != IGNORED))
    share = differ / max(1, total)
    found: dict[str, Any] = {"status": "ok", "pixels_differ": share, "holds": share <= MAX_PIXELS}
    if a.dice is not None and b.dice is not None:
        apart = paired_bootstrap(a.scores, b.scores, None)
        found |= {"dice_difference": apart.mean, "lo95": apart.lo95, "hi95": apart.hi95}
        found["holds"] = found["holds"] and abs(apart.mean) <= MAX_DICE
    return pair | found


def agreement(a: Path, b: Path) -> float:
    """Share of equal pixels in [0, 1], of those that count, between two folders of masks of the same stems."""
    equal = total = 0
    for path in sorted(a.glob("*.png")):
        first, second = read_mask_png(path), read_mask_png(b / path.name)
        n_ignored = int((first == IGNORED).sum())  # the same pixels in both
        equal += int((first == second).sum()) - n_ignored
        total += first.size - n_ignored
    return equal / max(1, total)
