"""The device's commands as functions: each returns a JSON-able report; `__main__` prints it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.runtime.atomic import replacing
from edgeseg.runtime.bundle import Bundle
from edgeseg.runtime.decision import decide
from edgeseg.runtime.errors import ConfigError, DataError, EdgesegError
from edgeseg.runtime.evaluate import evaluate as score
from edgeseg.runtime.golden import encode_png
from edgeseg.runtime.imagefile import read_image
from edgeseg.runtime.metrics import ImageScore, summarize, summarize_classes
from edgeseg.runtime.score.choice import check_split, choose_samples, column_values, unused_columns
from edgeseg.runtime.score.opening import open_for
from edgeseg.runtime.score.seen import SeenImages
from edgeseg.runtime.score.witness import Witness
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
    with Bundle.open(bundle.path) as about:
        manifest, known = about.manifest, SeenImages.of_bundle(about)
    opened = open_for(manifest, data, classes_by_id=classes_by_id)
    chosen = choose_samples(opened.data, split)
    values = {column: column_values(opened.data, chosen.samples, column) for column in by}
    classes, pixel_mm = manifest.classes, opened.data.pixel_mm
    with bundle.open() as segmenter:
        witness = Witness(segmenter, known)
        scores = score(witness, chosen.samples, classes, pixel_mm, progress, color=manifest.input.color)
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


def describe(bundle: Path) -> dict[str, Any]:
    """Return what a bundle does on this machine: its variants, why one does not run, the one `open` takes.

    That one has been opened. A better one that its engine refused has the reason in `unfit`.

    Raises:
        BundleError: If the bundle is damaged.
        ManifestError: If its manifest is wrong.
    """
    from edgeseg.runtime.selection import try_in_order, unfit_reason

    with Bundle.open(bundle) as opened:
        best, refused = try_in_order(opened)
        if best is not None:
            best[1].close()
        rows = [
            {
                "name": one.name,
                "bytes": one.bytes,
                "backend": one.spec.backend,
                "unfit": unfit_reason(one) or refused.get(one.name),
            }
            for one in opened.variants
        ]
        chosen = best[0].name if best is not None else None
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


def _accuracy_by(scores: Sequence[ImageScore], values: Sequence[str], classes: Sequence[str]) -> dict[str, Any]:
    found = np.asarray(values)
    if len(found) != len(scores):
        raise DataError(f"{len(scores)} scores for {len(found)} samples. Report this: it is a fault of edgeseg.")
    pairs = list(zip(scores, values, strict=True))
    return {value: summarize([one for one, own in pairs if own == value], classes) for value in sorted(set(values))}
