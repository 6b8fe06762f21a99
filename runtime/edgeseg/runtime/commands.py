"""The device's commands as functions: each returns a JSON-able report; `__main__` prints it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.runtime.bundle import Bundle
from edgeseg.runtime.dataset import Sample, open_dataset
from edgeseg.runtime.errors import ConfigError, DataError
from edgeseg.runtime.evaluate import evaluate as score
from edgeseg.runtime.metrics import ImageScore, summarize
from edgeseg.runtime.segmenter import Segmenter

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class BundleChoice:
    """Which bundle a command runs, and how.

    Attributes:
        path: The .edgeseg file.
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
    split: str = "test",
    by: Sequence[str] = (),
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Score a bundle on a data set; classes and colour come from the bundle.

    Args:
        bundle: What to run.
        data: Folder with `images/`, `masks/` and, if there, `meta.csv`.
        split: `train`, `val`, `test`, or `all`.
        by: Columns of meta.csv to give the accuracy by, value by value.
        progress: Called with (done, total) after every image.

    Returns:
        `variant`, `engine`, `split`, `accuracy` and `by` (column, value, accuracy).

    Raises:
        ConfigError: If a column is not in meta.csv.
        DataError: If the data set cannot be read or the split is empty.
        BundleError: If the bundle is damaged or has no such variant.
        BackendError: If no engine for it is installed.
    """
    with bundle.open() as segmenter:
        spec = segmenter.spec
        opened = open_dataset(data, classes=spec.classes, color=spec.input.color)
        samples = opened.samples if split == "all" else opened.split(split)
        values = {column: _column(samples, column) for column in by}
        scores = score(segmenter, samples, spec.classes, opened.pixel_mm, progress, color=spec.input.color)
        return {
            "variant": segmenter.name,
            "engine": segmenter.engine,
            "data": opened.name,
            "split": split,
            "accuracy": summarize(scores, spec.classes),
            "by": {column: _accuracy_by(scores, values[column], spec.classes) for column in by},
        }


def describe(bundle: Path) -> dict[str, Any]:
    """Return what a bundle would do on this machine: its variants, why one would not run, the one `open` chooses.

    Raises:
        BundleError: If the bundle is damaged.
        ManifestError: If its manifest is wrong.
    """
    from edgeseg.runtime.selection import choose, unfit_reason

    with Bundle.open(bundle) as opened:
        rows = [
            {"name": one.name, "bytes": one.bytes, "backend": one.spec.backend, "unfit": unfit_reason(one)}
            for one in opened.variants
        ]
        chosen = choose(opened.manifest).name if any(row["unfit"] is None for row in rows) else None
        return {"bundle": opened.path.name, "bundle_id": opened.manifest.bundle_id, "chosen": chosen, "variants": rows}


def _column(samples: Sequence[Sample], column: str) -> list[str]:
    fixed = {"group": [sample.group for sample in samples], "split": [sample.split for sample in samples]}
    if column in fixed:
        return fixed[column]
    known = sorted({name for sample in samples for name in sample.columns} | fixed.keys())
    missing = next((sample for sample in samples if column not in sample.columns), None)
    if missing is not None:
        raise ConfigError(f"Column {column!r} is not in meta.csv for {missing.stem}. Known: {', '.join(known)}.")
    return [sample.columns[column] for sample in samples]


def _accuracy_by(scores: Sequence[ImageScore], values: Sequence[str], classes: Sequence[str]) -> dict[str, Any]:
    found = np.asarray(values)
    if len(found) != len(scores):
        raise DataError(f"{len(scores)} scores for {len(found)} samples. Report this: it is a fault of edgeseg.")
    pairs = list(zip(scores, values, strict=True))
    return {value: summarize([one for one, own in pairs if own == value], classes) for value in sorted(set(values))}
