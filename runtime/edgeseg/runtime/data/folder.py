"""What lies in a data-set folder: pairs of files, meta.csv, dataset.yaml, and what is wrong with them by name alone.

No pixel is read here; `data.check` does that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeseg.runtime.data.described.columns import column_warnings, group_faults
from edgeseg.runtime.data.described.metafile import read_meta
from edgeseg.runtime.data.ignored import check_ignore
from edgeseg.runtime.data.imagefile import IMAGE_SUFFIXES, MASK_SUFFIXES, Color
from edgeseg.runtime.data.pairing.layout import near_files, no_files
from edgeseg.runtime.data.pairing.listing import LeftOut, Listing, list_files
from edgeseg.runtime.data.pairing.unpaired import pair_faults, row_faults
from edgeseg.runtime.data.splits import SPLITS
from edgeseg.runtime.faults import Fault, FaultError, bad_description
from edgeseg.runtime.spec.class_names import class_fault
from edgeseg.runtime.spec.input_spec import WINDOW_FORM, IntensityWindow, read_window

_KEYS = (
    *("name", "task", "classes", "ignore", "color", "window", "pixel_mm", "licence", "may_redistribute"),
    *("description", "citation", "source"),  # for people; not read
)


@dataclass(frozen=True)
class Description:
    """The content of dataset.yaml.

    Attributes:
        name: The data set's name.
        classes: Class names by id; the first is the background.
        color: How images are read.
        pixel_mm: Edge length of a pixel [mm], or None if unknown.
        licence: Licence of the data.
        may_redistribute: Whether images may be put into reports and bundles.
        ignore: The value in mask files of pixels that do not count, or None.
        window: (lo, hi) of 16-bit images, or None where they have 8 bits.
    """

    name: str
    classes: tuple[str, ...]
    color: Color
    pixel_mm: float | None = None
    licence: str = "unknown"
    may_redistribute: bool = False
    ignore: int | None = None
    window: IntensityWindow | None = None


@dataclass(frozen=True)
class Folder:
    """The files of a data set.

    Attributes:
        images: Stem to image file, sorted by stem.
        masks: Stem to mask file, for every stem that has one (with or without an image).
        rows: Stem to its row of meta.csv (without the stem); empty without meta.csv.
        columns: Header of meta.csv, without `stem`.
        faults: What is wrong and keeps the data set from being opened.
        warnings: What is probably not meant so, and keeps it from nothing.
        left_out: What lies in images/ and masks/ and is not taken.
        orphans: Stems of masks without an image, beside those that a fault explains.
    """

    images: Mapping[str, Path]
    masks: Mapping[str, Path]
    rows: Mapping[str, Mapping[str, str]]
    columns: tuple[str, ...]
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    orphans: tuple[str, ...] = ()

    @property
    def splits(self) -> dict[str, int]:
        """Images by split of meta.csv; empty if it has none."""
        if "split" not in self.columns:
            return {}
        found = [self.rows[stem]["split"] for stem in self.images if stem in self.rows]
        return {name: found.count(name) for name in SPLITS}


def list_folder(root: Path) -> Folder:
    """Pairs images, masks and rows of meta.csv by stem.

    Raises:
        DataError: `root` is not a folder, or cannot be read.
    """
    if not root.is_dir():
        remedy = "give a folder with images/, masks/ and dataset.yaml"
        found = "a file, no folder" if root.exists() else "no such folder"
        raise FaultError(Fault(str(root), "missing folder", found, remedy))
    images, masks = _list(root / "images", IMAGE_SUFFIXES), _list(root / "masks", MASK_SUFFIXES)
    bytes_in_names = any("\udc80" <= sign <= "\udcff" for stem in images.taken for sign in stem)
    meta = read_meta(root / "meta.csv", as_bytes=bytes_in_names)
    tables = near_files(root)
    faults = [*no_files(images, IMAGE_SUFFIXES), *_doubled(images), *no_files(masks, MASK_SUFFIXES), *_doubled(masks)]
    pairing, orphans = pair_faults(images, masks)
    faults += [*pairing, *(one for one in tables if one.level == "fault"), *meta.faults]
    if "split" in meta.columns:
        faults += group_faults(meta.rows)
    if meta.columns and images.taken:
        faults += row_faults(images.taken, meta.rows)
    return Folder(
        images=images.taken,
        masks=masks.taken,
        rows=meta.rows,
        columns=meta.columns,
        faults=tuple(faults),
        warnings=(*(one for one in tables if one.level == "warning"), *column_warnings(meta.columns, meta.rows)),
        left_out=(*images.left_out, *masks.left_out),
        orphans=orphans,
    )


def list_images(folder: Path) -> tuple[Path, ...]:
    """List the image files of a folder that has no masks, sorted by name; stems are unique.

    Raises:
        DataError: There is no such folder, no image in it, or two of them have one stem.
    """
    found = _list(folder, IMAGE_SUFFIXES)
    faults = [*no_files(found, IMAGE_SUFFIXES), *_doubled(found)]
    if faults:
        raise FaultError(faults[0])
    return tuple(found.taken.values())


def read_description(root: Path) -> Description:
    """Read and checks `dataset.yaml`.

    Raises:
        DataError: The file or PyYAML is missing, or a key is unknown, missing, or of a wrong type.
    """
    from edgeseg.runtime.data.described.description import located, read_fields  # a device reads none

    path = root / "dataset.yaml"
    fields, lines = read_fields(path, _KEYS)
    try:
        return _description(fields, path)
    except FaultError as error:
        raise located(error, lines) from error


def check_classes(classes: Sequence[object], where: object) -> tuple[str, ...]:
    """Check a list of class names.

    Args:
        classes: Names by class id, background first.
        where: Named in the message.

    Raises:
        DataError: Fewer than two or more than 255 classes, an empty or repeated name, or not a string.
    """
    if fault := class_fault(classes):
        raise bad_description(where, *fault)
    return tuple(str(name) for name in classes)


def _description(fields: Mapping[str, object], path: Path) -> Description:
    from edgeseg.runtime.data.described.description import no_list

    color, redistribute = fields["color"], fields.get("may_redistribute", False)
    if color not in ("gray", "rgb"):
        raise bad_description(path, f"color is {color!r}", "write gray or rgb")
    if not isinstance(redistribute, bool):
        raise bad_description(path, f"may_redistribute is {redistribute!r}", "write true or false")
    classes = fields["classes"]
    if not isinstance(classes, list):
        raise no_list(classes, path)
    names = check_classes(classes, path)
    if fields.get("task") not in (None, "binary" if len(names) == 2 else "multiclass"):
        raise bad_description(path, f"task {fields['task']!r} contradicts {len(names)} classes", "remove the key task")
    return Description(
        name=str(fields.get("name") or path.resolve().parent.name),
        classes=names,
        color="gray" if color == "gray" else "rgb",
        pixel_mm=_pixel_mm(fields.get("pixel_mm"), path),
        licence=str(fields.get("licence") or "unknown"),
        may_redistribute=redistribute,
        ignore=check_ignore(fields.get("ignore"), names, path),
        window=_window(fields.get("window"), path),
    )


def _window(value: object, path: Path) -> IntensityWindow | None:
    window = None if value is None else read_window(value)
    if value is not None and window is None:
        found = f"window is {value!r}"
        raise bad_description(path, found, f"give {WINDOW_FORM}, or remove it where all images have 8 bits")
    return window


def _pixel_mm(value: object, path: Path) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e6:
        raise bad_description(
            path,
            f"pixel_mm is {value!r}",
            "give the edge length of a pixel in mm, a plain number such as 0.05, or remove it if unknown",
        )
    return float(value)


def _list(folder: Path, suffixes: tuple[str, ...]) -> Listing:
    try:
        return list_files(folder, suffixes)
    except OSError as error:
        message = f"cannot be read ({error.strerror})"
        raise FaultError(Fault(str(folder), "unreadable", message, "check its rights and the disk")) from error


def _doubled(listing: Listing) -> list[Fault]:
    return [
        Fault(
            f"{path.parent.name}/{path.name}",
            "duplicate stem",
            f"has the same stem as {listing.taken[path.stem].name}",
            "rename or remove one of them",
        )
        for path in listing.doubled
    ]
