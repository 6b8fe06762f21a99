"""Two bundles on the same images: the difference of their Dice with its interval, and every mask that is another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.runtime.data.dataset import Sample, content_hash
from edgeseg.runtime.decision import decide
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.files.png import PackedMasks, UInt8
from edgeseg.runtime.frame.regions import find_regions
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.score.choice import check_split, choose_samples
from edgeseg.runtime.score.drops import dice_drop, recall_drop
from edgeseg.runtime.score.evaluate import evaluate
from edgeseg.runtime.score.image_score import ImageScore
from edgeseg.runtime.score.metrics import image_dice, summarize
from edgeseg.runtime.score.opening import About, Opened, open_for
from edgeseg.runtime.score.seen import SeenImages
from edgeseg.runtime.score.witness import Witness
from edgeseg.runtime.segmenter import Result, Segmenter

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Pairing:
    """What two bundles are run on, and how.

    Attributes:
        data: Folder of the data set.
        split: `train`, `val`, `test` or `all`; None is `test` where meta.csv has a split, else `all`.
        variant: To run of both; None takes of each the best one here.
        threads: Of the engines.
    """

    data: Path
    split: str | None = None
    variant: str | None = None
    threads: int | None = None


@dataclass(frozen=True)
class Flip:
    """An image that the two bundles see differently.

    Attributes:
        image: Its stem.
        group: Its part, patient or series.
        decision_old: `good` or `reject`, of the old bundle.
        decision_new: Of the new one.
        differing_share: Share of its pixels whose class changed, in [0, 1].
        dice_old: Its Dice with the old bundle; None without foreground in truth and mask.
        dice_new: With the new one.
    """

    image: str
    group: str
    decision_old: str
    decision_new: str
    differing_share: float
    dice_old: float | None
    dice_new: float | None

    @property
    def decided_otherwise(self) -> bool:
        """Whether the decision changed, not the mask alone."""
        return self.decision_old != self.decision_new


@dataclass(frozen=True)
class _Side:
    """What one bundle made of the images."""

    about: dict[str, Any]
    scores: list[ImageScore]
    masks: PackedMasks
    decisions: list[str]


def paired_differences(old: Path, new: Path, order: Pairing, progress: Progress | None = None) -> dict[str, Any]:
    """Run both bundles on a data set and compare them image by image.

    Args:
        old: The bundle in use.
        new: The one to replace it.
        order: On what, and how.
        progress: Called with (done, total) after every image of either.

    Returns:
        `data content_sha256 split split_reason notes not_checked n_images n_groups`; `old` and `new` with `variant
        engine accuracy warnings` (images it was trained on among them) and `made_of_this_data`; `dice_drop` and
        `region_recall_drop` from old to new, positive where the new one is lower, as `drops.dice_drop` gives them;
        `n_decisions_flipped`, `n_masks_flipped` and `flipped`: every image with another decision or mask, decisions
        first, then by the share that changed.

    Raises:
        ConfigError: If the two have other classes, or there is no such split.
        DataError: If the data set cannot be read or has other classes.
        BundleError: If a bundle is damaged or has no such variant.
        BackendError: If no engine for it is installed.
    """
    check_split(order.split)
    abouts = [_about(path) for path in (old, new)]
    if abouts[0].classes != abouts[1].classes:
        found = " and ".join(", ".join(one.classes) for one in abouts)
        raise ConfigError(f"{old} and {new} have other classes ({found}), so no mask can be compared; leave out --data")
    opened = [open_for(about, order.data) for about in abouts]
    chosen = choose_samples(opened[1].data, order.split)
    stems = {sample.stem for sample in chosen.samples}
    sides = []
    for path, one in zip((old, new), opened, strict=True):
        samples = [sample for sample in one.data.samples if sample.stem in stems]
        sides.append(_run(path, one, samples, order, progress))
    flips, content = _flips(*sides), content_hash(opened[1].data)
    first = sides[0].scores
    return {
        "data": opened[1].data.name,
        "content_sha256": content,
        "split": chosen.split,
        "split_reason": chosen.reason,
        "notes": list(dict.fromkeys(note for one in opened for note in one.notes)),
        "not_checked": list(dict.fromkeys(note for one in opened for note in one.not_checked)),
        "n_images": len(first),
        "n_groups": len({score.group for score in first}),
        "old": sides[0].about | {"made_of_this_data": _names(abouts[0], content)},
        "new": sides[1].about | {"made_of_this_data": _names(abouts[1], content)},
        "dice_drop": dice_drop(first, sides[1].scores, None),
        "region_recall_drop": recall_drop(first, sides[1].scores, None),
        "n_decisions_flipped": sum(one.decided_otherwise for one in flips),
        "n_masks_flipped": len(flips),
        "flipped": [asdict(one) for one in flips],
    }


def _about(path: Path) -> About:
    with Bundle.open(path) as bundle:
        return About(bundle.manifest.classes, bundle.manifest.input, bundle.manifest.data)


def _names(about: About, content_sha256: str) -> bool:
    return content_sha256 in {row.get("content_sha256") for row in about.data}


def _run(path: Path, opened: Opened, samples: list[Sample], order: Pairing, progress: Progress | None) -> _Side:
    masks, decisions = PackedMasks(), list[str]()
    with Bundle.open(path) as bundle:
        known, classes, color = SeenImages.of_bundle(bundle), bundle.manifest.classes, bundle.manifest.input.color
    with Segmenter.open(path, order.variant, order.threads) as segmenter:

        def kept(frame: UInt8) -> Result:
            result = segmenter(frame)
            masks.add(result.mask)
            decisions.append(decide(find_regions(result.mask), segmenter.spec.decision).decision)
            return result

        witness = Witness(kept, known)
        scores = evaluate(witness, samples, classes, opened.data.pixel_mm, progress, color=color)
        seen = witness.report(scores, classes)
        about = {"variant": segmenter.name, "engine": segmenter.engine, "accuracy": summarize(scores, classes)}
    return _Side(about | {"warnings": seen["warnings"] + seen["not_checked"]}, scores, masks, decisions)


def _flips(old: _Side, new: _Side) -> list[Flip]:
    found = []
    pairs = zip(old.scores, new.scores, old.masks, new.masks, old.decisions, new.decisions, strict=True)
    for before, after, mask_before, mask_after, decided_before, decided_after in pairs:
        share = float(np.count_nonzero(mask_before != mask_after)) / mask_before.size
        if share or decided_before != decided_after:
            dices = (_dice(before), _dice(after))
            found.append(Flip(before.stem, before.group, decided_before, decided_after, share, *dices))
    return sorted(found, key=lambda one: (not one.decided_otherwise, -one.differing_share, one.image))


def _dice(score: ImageScore) -> float | None:
    dice = image_dice(score)
    return None if np.isnan(dice) else dice
