"""The device's commands as functions: each returns a JSON-able report; `__main__` prints it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.runtime.errors import DataError
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.opening.step_folder import open_step
from edgeseg.runtime.score.choice import check_split, choose_samples, column_values, unused_columns
from edgeseg.runtime.score.evaluate import evaluate as score
from edgeseg.runtime.score.metrics import ImageScore, summarize, summarize_classes
from edgeseg.runtime.score.opening import About, open_for
from edgeseg.runtime.score.seen import SeenImages
from edgeseg.runtime.score.witness import Witness
from edgeseg.runtime.segmenter import Segmenter

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class BundleChoice:
    """Which bundle a command runs, and how.

    Attributes:
        path: The .edgeseg file, or a step's folder (model file and spec.json).
        variant: Name of a variant, or None for the best one here.
        threads: Threads of the engine, or None for the default.
    """

    path: Path
    variant: str | None = None
    threads: int | None = None

    def open(self) -> Segmenter:
        """Open it; raises BundleError, ManifestError or BackendError as `Segmenter.open` does."""
        return Segmenter.open(self.path, self.variant, self.threads)


def evaluate(
    bundle: BundleChoice,
    data: Path,
    *,
    split: str | None = None,
    by: Sequence[str] = (),
    classes_by_id: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Score a bundle on a data set, after holding what the data say about themselves against the bundle.

    Args:
        bundle: What to run.
        data: Folder with `images/`, `masks/` and, if there, `dataset.yaml` and `meta.csv`.
        split: `train`, `val`, `test`, or `all`; None is `test` where meta.csv has a split, else `all`.
        by: Columns of meta.csv to give the accuracy by, value by value.
        classes_by_id: Take class ids as they are where the data's names are not the bundle's.
        progress: Called with (done, total) after every image.

    Returns:
        `variant`, `engine`, `data`, `split`, `split_reason`, `columns_not_used` (of meta.csv), `notes` (what differs
        between data and bundle), `not_checked`, `warnings`, `accuracy` (see `metrics.summarize`), `per_class` (see
        `metrics.summarize_classes`), `by` (column, value, accuracy), `seen` (images that were `train val test` of the
        bundle, or `unknown_to_bundle`; None where the bundle does not say) and `accuracy_unseen`: over the images that
        were neither train nor val, where there are both kinds, else None.

    Raises:
        ConfigError: If there is no such split, or a column is not in meta.csv.
        DataError: If the data set cannot be read, has other classes, or the split is empty.
        BundleError: If the bundle is damaged or has no such variant.
        BackendError: If no engine for it is installed.
    """
    check_split(split)  # what was typed comes before what is on the disk
    about, known = _about(bundle.path)
    opened = open_for(about, data, classes_by_id=classes_by_id)
    chosen = choose_samples(opened.data, split)
    values = {column: column_values(opened.data, chosen.samples, column) for column in by}
    classes, pixel_mm = about.classes, opened.data.pixel_mm
    with bundle.open() as segmenter:
        witness = Witness(segmenter, known)
        scores = score(witness, chosen.samples, classes, pixel_mm, progress, color=about.input.color)
        seen = witness.report(scores, classes)
        return {
            "variant": segmenter.name,
            "engine": segmenter.engine,
            "data": opened.data.name,
            "split": chosen.split,
            "split_reason": chosen.reason,
            "columns_not_used": unused_columns(opened.data, by),
            "notes": list(opened.notes),
            "accuracy": summarize(scores, classes),
            "per_class": summarize_classes(scores, classes),
            "by": {column: _accuracy_by(scores, values[column], classes) for column in by},
            **seen,
            "not_checked": [*opened.not_checked, *seen["not_checked"]],
        }


def listed(columns: str) -> tuple[str, ...]:
    """Names with commas between, as both command lines take them."""
    return tuple(name.strip() for name in columns.split(",") if name.strip())


def passes(report: dict[str, Any], min_dice: float | None) -> bool:
    """Whether what `evaluate` reported holds the gate, which is added to it; without one everything does."""
    if min_dice is None:
        return True
    dice = report["accuracy"]["dice_mean"]
    report["gate"] = {"min_dice": min_dice, "passed": dice is not None and dice >= min_dice}
    return bool(report["gate"]["passed"])


def describe(bundle: Path) -> dict[str, Any]:
    """Return what a bundle does on this machine: its variants, why one does not run, the one `open` takes.

    Each variant that may run here has been opened by its engine.

    Raises:
        BundleError: If the bundle is damaged.
        ManifestError: If its manifest is wrong.
    """
    from edgeseg.runtime.opening.selection import rank, refusals

    with Bundle.open(bundle) as opened:
        reasons = refusals(opened)
        rows = [
            {"name": one.name, "bytes": one.bytes, "backend": one.spec.backend, "unfit": reasons[one.name]}
            for one in opened.variants
        ]
        chosen = next((one.name for one in rank(opened.manifest) if reasons[one.name] is None), None)
        return {"bundle": opened.path.name, "bundle_id": opened.manifest.bundle_id, "chosen": chosen, "variants": rows}


def _about(path: Path) -> tuple[About, SeenImages | None]:
    """What there is to hold data against, and the images behind it, where it says which."""
    if path.is_dir():
        _, spec = open_step(path)
        return About(spec.classes, spec.input), None
    with Bundle.open(path) as bundle:
        its = bundle.manifest
        return About(its.classes, its.input, its.data), SeenImages.of_bundle(bundle)


def _accuracy_by(scores: Sequence[ImageScore], values: Sequence[str], classes: Sequence[str]) -> dict[str, Any]:
    found = np.asarray(values)
    if len(found) != len(scores):
        raise DataError(f"{len(scores)} scores for {len(found)} samples. Report this: it is a fault of edgeseg.")
    pairs = list(zip(scores, values, strict=True))
    return {value: summarize([one for one, own in pairs if own == value], classes) for value in sorted(set(values))}
