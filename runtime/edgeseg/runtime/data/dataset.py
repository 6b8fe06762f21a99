"""The data set: the one way to images, masks and splits for training, calibration, scoring and devices.

A data set is a folder::

    images/        STEM.png | .jpg | .bmp | .tif | .webp   gray or RGB, 8-bit, or 16-bit with a window
    masks/         STEM.png | .bmp | .tif | .webp          one channel of class ids (or 0 / 255 with two classes)
    dataset.yaml   name, classes (background first), color: gray | rgb, window: [lo, hi] of 16-bit images, pixel_mm,
                   licence, may_redistribute, ignore: value of mask pixels that do not count
    meta.csv       optional: stem, split (train / val / test), group (never split across), any other column
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from edgeseg.runtime.data.folder import Description, Folder, list_folder, list_images, read_description
from edgeseg.runtime.data.imagefile import Color, Frame, UInt8, read_image, read_mask
from edgeseg.runtime.data.pairing.listing import summary
from edgeseg.runtime.data.pairing.same_stem import size_mismatch
from edgeseg.runtime.data.splits import SPLITS, make_split, read_split, write_split
from edgeseg.runtime.errors import DataError
from edgeseg.runtime.faults import Fault, FaultError
from edgeseg.runtime.files.hashes import sha256_file
from edgeseg.runtime.spec.input_spec import IntensityWindow
from edgeseg.runtime.text.names import name_bytes
from edgeseg.runtime.text.shell import command

__all__ = [
    "SPLITS", "Color", "DataSet", "Sample", "check_sizes", "content_hash", "file_hash", "list_images", "open_dataset",
    "read_image", "read_mask", "split_hash",
]  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """One image with its mask.

    Attributes:
        stem: File name without suffix; unique in the data set.
        image: The image file.
        mask: The mask file.
        split: `train`, `val` or `test`.
        group: Part, patient or series it belongs to; the stem where no group is known.
        columns: The other columns of meta.csv, as text.
        ids: The class id that each id of the mask stands for, or None where it is the same; see `score.labels`.
        ignore: The value in the mask file of pixels that do not count, or None.
        window: The data set's, with which the image is read (`read_image`).
    """

    stem: str
    image: Path
    mask: Path
    split: str
    group: str
    columns: Mapping[str, str] = field(default_factory=dict)
    ids: tuple[int, ...] | None = None
    ignore: int | None = None
    window: IntensityWindow | None = None

    def read_truth(self, n_classes: int) -> UInt8:
        """Its mask as class ids mapped by `ids`, `ignored.IGNORED` where pixels do not count; see `read_mask`."""
        mask = read_mask(self.mask, n_classes, self.ignore)
        return mask if self.ids is None else _mapped(mask, self.ids)


@dataclass(frozen=True)
class DataSet:
    """An opened data set. No pixel has been read yet.

    Attributes:
        root: Its folder.
        name: Its name.
        classes: Class names by id; the first is the background.
        color: How its images are read (`read_image`).
        pixel_mm: Edge length of a pixel [mm], or None if unknown.
        licence: Licence of the data.
        may_redistribute: Whether images may be put into reports and bundles.
        samples: All samples, sorted by stem.
        split_given: Whether meta.csv has the split; if not it was drawn, or kept in a file of a run.
        ignore: The value in mask files of pixels that do not count, or None; every sample has it too.
        remarks: Sentences on what was not taken of the folder, and on what is probably not meant so.
        window: (lo, hi) of its 16-bit images (`read_image`), or None where they have 8 bits.
    """

    root: Path
    name: str
    classes: tuple[str, ...]
    color: Color
    pixel_mm: float | None
    licence: str
    may_redistribute: bool
    samples: tuple[Sample, ...]
    split_given: bool = True
    ignore: int | None = None
    remarks: tuple[str, ...] = ()
    window: IntensityWindow | None = None

    def split(self, name: str) -> tuple[Sample, ...]:
        """The samples of one split, sorted by stem.

        Raises:
            DataError: There is no such split, or it is empty.
        """
        found = tuple(sample for sample in self.samples if sample.split == name)
        if not found:
            counts = ", ".join(f"{s} {sum(x.split == s for x in self.samples)}" for s in SPLITS)
            raise DataError(
                f"{self.root}: the split {name!r} is empty ({counts}); mark images for it in meta.csv, column split"
            )
        return found


def open_dataset(
    root: Path | str,
    *,
    about: Description | None = None,
    split_file: Path | None = None,
    seed: int = 0,
) -> DataSet:
    """Open a data-set folder.

    Args:
        root: The folder.
        about: What dataset.yaml would say, which is not read then (a device has no yaml). None reads it.
        split_file: Where the split is kept if meta.csv has none: read when it exists, else made and written.
            Without it the same split is made each time and written nowhere. The data folder is never written to.
        seed: Draws the split that is made.

    Returns:
        The data set.

    Raises:
        DataError: The folder cannot be used. The message has the first faults; `data.check.check_dataset` has all.
    """
    root = Path(root)
    folder = list_folder(root)
    if folder.faults:
        raise _unusable(root, folder.faults)
    if about is None:
        about = read_description(root)
    return DataSet(
        root=root,
        name=about.name,
        classes=about.classes,
        color=about.color,
        pixel_mm=about.pixel_mm,
        licence=about.licence,
        may_redistribute=about.may_redistribute,
        samples=tuple(
            replace(one, ignore=about.ignore, window=about.window) for one in _samples(folder, split_file, seed)
        ),
        split_given="split" in folder.columns,
        ignore=about.ignore,
        remarks=_remarks(folder, root),
        window=about.window,
    )


def check_sizes(sample: Sample, frame: Frame, mask: UInt8) -> None:
    """Refuse a mask that has not its image's size.

    Args:
        sample: Where they were read.
        frame: The image, (H, W) or (H, W, 3).
        mask: (H, W).

    Raises:
        DataError: The sizes differ.
    """
    fault = size_mismatch(sample.image, sample.mask, frame.shape[:2], mask.shape)
    if fault is not None:
        raise FaultError(fault)


def content_hash(data: DataSet) -> str:
    """SHA-256 (hex) of what can be learnt from: classes, colour, ignored value, window, and every file under its stem.

    Independent of the folder's place, of order, of file dates, and of the split (see `split_hash`).
    """
    files = (f"{s.stem}\0{file_hash(s.image)}\0{file_hash(s.mask)}" for s in data.samples)
    head = [f"classes\0{chr(0).join(data.classes)}", f"color\0{data.color}"]
    # Named only where there is one: data sets without them keep the hash they always had.
    if data.ignore is not None:
        head.append(f"ignore\0{data.ignore}")
    if data.window is not None:
        head.append("window\0{}\0{}".format(*data.window))
    return _lines_sha256([*head, *sorted(files)])


def split_hash(data: DataSet) -> str:
    """SHA-256 (hex) of which stem is in which split and group; independent of order."""
    return _lines_sha256(sorted(f"{s.stem}\0{s.split}\0{s.group}" for s in data.samples))


def file_hash(path: Path) -> str:
    """SHA-256 (hex) of a file.

    Raises:
        DataError: It cannot be read.
    """
    try:
        return sha256_file(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def _mapped(mask: UInt8, ids: Sequence[int]) -> UInt8:
    """Another id for each class; values that are no class stay as they are."""
    table = np.arange(256, dtype=np.uint8)
    table[: len(ids)] = ids
    return np.asarray(cv2.LUT(mask, table), np.uint8)


def _samples(folder: Folder, split_file: Path | None, seed: int) -> tuple[Sample, ...]:
    rows = {stem: dict(folder.rows.get(stem, {})) for stem in folder.images}
    groups = {stem: row.pop("group", "").strip() or stem for stem, row in rows.items()}
    if "split" in folder.columns:
        splits = {stem: row.pop("split") for stem, row in rows.items()}
    elif split_file is not None and split_file.is_file():
        splits = read_split(split_file, groups)
    else:
        splits = make_split(groups, seed)
        if split_file is not None:
            write_split(split_file, splits, groups)
    return tuple(
        Sample(stem, image, folder.masks[stem], splits[stem], groups[stem], rows[stem])
        for stem, image in sorted(folder.images.items())
    )


def _remarks(folder: Folder, root: Path) -> tuple[str, ...]:
    lines = [
        f"not taken: {one['where']}{', '.join(map(str, files))} ({one['n']}): {one['reason']}"
        for one in summary(folder.left_out, root)
        if isinstance(files := one["files"], list)
    ]
    if folder.orphans:
        first = ", ".join(folder.masks[stem].name for stem in folder.orphans[:5])
        more = ", ..." if len(folder.orphans) > 5 else ""
        lines.append(f"not taken: masks/{first}{more} ({len(folder.orphans)}): without an image")
    return (*lines, *(f"warning: {fault}" for fault in folder.warnings))


def _unusable(root: Path, faults: Sequence[Fault]) -> DataError:
    shown = "\n".join(f"  {fault}" for fault in faults[:5])
    more = f"\n  and {len(faults) - 5} more" if len(faults) > 5 else ""
    listed = f"`{command('edgeseg', 'data', 'check', root)}` lists all"
    return DataError(f"{root}: {len(faults)} fault(s); {listed}\n{shown}{more}")


def _lines_sha256(lines: Iterable[str]) -> str:
    return hashlib.sha256(name_bytes("\n".join(lines))).hexdigest()
