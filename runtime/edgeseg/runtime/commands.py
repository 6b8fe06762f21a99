"""The device's commands as functions: each returns a JSON-able report; `__main__` prints it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.runtime.atomic import replacing
from edgeseg.runtime.bundle import Bundle
from edgeseg.runtime.dataset import Sample, open_dataset
from edgeseg.runtime.decision import decide
from edgeseg.runtime.errors import ConfigError, DataError, EdgesegError
from edgeseg.runtime.evaluate import evaluate as score
from edgeseg.runtime.golden import encode_png
from edgeseg.runtime.imagefile import read_image
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


def predict(
    bundle: BundleChoice,
    images: Sequence[Path],
    out: Path,
    *,
    decision: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Segment image files and write each mask as a PNG of class ids, `OUT/STEM.png`.

    An image that cannot be segmented is a row with its reason; the others are written all the same.

    Args:
        bundle: What to run.
        images: Image files; their stems must differ, for they name the masks.
        out: Folder of the masks, made if missing.
        decision: Also decide good or reject by the bundle's thresholds.
        progress: Called with (done, total) after every image.

    Returns:
        `variant`, `engine`, `classes`, and `images`: `image`, `status` `ok | failed`, `reason`, `mask`, `height_px`,
        `width_px`, `regions`, `timings_ms` and, where asked for, `decision`.

    Raises:
        ConfigError: If two images would write the same mask, or a mask would replace an image.
        BundleError: If the bundle is damaged or has no such variant.
        BackendError: If no engine for it is installed.
    """
    _check_names(images, out)
    with bundle.open() as segmenter:
        rows: list[dict[str, Any]] = []
        for done, image in enumerate(images, start=1):
            try:
                rows.append(_predict_one(segmenter, image, out / f"{image.stem}.png", decision))
            except EdgesegError as err:
                rows.append({"image": str(image), "status": "failed", "reason": str(err)})
            if progress is not None:
                progress(done, len(images))
        classes = list(segmenter.spec.classes)
        return {"variant": segmenter.name, "engine": segmenter.engine, "classes": classes, "images": rows}


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
    """Return what a bundle does on this machine: its variants, why one does not run, the one `open` takes.

    Each variant that may run here has been opened by its engine.

    Raises:
        BundleError: If the bundle is damaged.
        ManifestError: If its manifest is wrong.
    """
    from edgeseg.runtime.selection import rank, refusals

    with Bundle.open(bundle) as opened:
        reasons = refusals(opened)
        rows = [
            {"name": one.name, "bytes": one.bytes, "backend": one.spec.backend, "unfit": reasons[one.name]}
            for one in opened.variants
        ]
        chosen = next((one.name for one in rank(opened.manifest) if reasons[one.name] is None), None)
        return {"bundle": opened.path.name, "bundle_id": opened.manifest.bundle_id, "chosen": chosen, "variants": rows}


def _predict_one(segmenter: Segmenter, image: Path, target: Path, decision: bool) -> dict[str, Any]:
    frame = read_image(image, segmenter.spec.input.color)
    result = segmenter(frame, regions=True)
    with replacing(target) as temporary:
        temporary.write_bytes(encode_png(result.mask))
    regions = result.regions or ()
    row: dict[str, Any] = {
        "image": str(image),
        "status": "ok",
        "reason": None,
        "mask": str(target),
        "height_px": frame.shape[0],
        "width_px": frame.shape[1],
        "regions": [asdict(region) for region in regions],
        "timings_ms": dict(result.timings_ms),
    }
    if decision:
        row["decision"] = decide(regions, segmenter.spec.decision).decision
    return row


def _check_names(images: Sequence[Path], out: Path) -> None:
    seen: dict[str, Path] = {}
    for image in images:
        if image.stem in seen:
            found = f"{seen[image.stem]} and {image} would both write {out / image.stem}.png"
            raise ConfigError(f"{found}. Rename one, or run them with different --out folders.")
        if (out / f"{image.stem}.png").resolve() == image.resolve():
            raise ConfigError(f"The mask of {image} would replace it. Choose another --out folder.")
        seen[image.stem] = image


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
