"""What lies in a data-set folder: pairs of files, meta.csv, dataset.yaml, and what is wrong with them by name alone.

No pixel is read here; `datacheck` does that.
"""

from __future__ import annotations

import csv
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeseg.runtime.faults import Fault, FaultError
from edgeseg.runtime.imagefile import IMAGE_SUFFIXES, MASK_SUFFIXES, Color
from edgeseg.runtime.input_spec import WINDOW_FORM, IntensityWindow, read_window
from edgeseg.runtime.splits import SPLITS

_KEYS = (
    *("name", "task", "classes", "color", "window", "pixel_mm", "licence", "may_redistribute"),
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
        window: (lo, hi) of 16-bit images, or None where they have 8 bits.
    """

    name: str
    classes: tuple[str, ...]
    color: Color
    pixel_mm: float | None = None
    licence: str = "unknown"
    may_redistribute: bool = False
    window: IntensityWindow | None = None


@dataclass(frozen=True)
class Folder:
    """The files of a data set.

    Attributes:
        images: Stem to image file, sorted by stem.
        masks: Stem to mask file, for every stem that has one (with or without an image).
        rows: Stem to its row of meta.csv (without the stem); empty without meta.csv.
        columns: Header of meta.csv, without ``stem``.
        faults: What is wrong and keeps the data set from being opened.
    """

    images: Mapping[str, Path]
    masks: Mapping[str, Path]
    rows: Mapping[str, Mapping[str, str]]
    columns: tuple[str, ...]
    faults: tuple[Fault, ...]


def list_folder(root: Path) -> Folder:
    """Pairs images, masks and rows of meta.csv by stem.

    Raises:
        DataError: ``root`` is not a folder.
    """
    if not root.is_dir():
        remedy = "give a folder with images/, masks/ and dataset.yaml"
        raise FaultError(Fault(str(root), "missing folder", "no such folder", remedy))
    faults: list[Fault] = []
    images = _by_stem(root / "images", IMAGE_SUFFIXES, faults)
    masks = _by_stem(root / "masks", MASK_SUFFIXES, faults)
    columns, rows = _read_meta(root / "meta.csv", faults)
    if masks:  # An empty masks folder is one fault, not one per image.
        faults += [
            Fault(_in(root, path), "missing mask", f"no mask {stem}.png in masks/", "add it or remove the image")
            for stem, path in images.items()
            if stem not in masks
        ]
    if "split" in columns:
        faults += _split_faults(rows)
    if columns and images:
        faults += _unmatched_rows(images, rows)
    return Folder(images, masks, rows, columns, tuple(faults))


def list_images(folder: Path) -> tuple[Path, ...]:
    """Lists the image files of a folder that has no masks, sorted by name; stems are unique.

    Raises:
        DataError: There is no such folder, no image in it, or two of them have one stem.
    """
    faults: list[Fault] = []
    images = _by_stem(folder, IMAGE_SUFFIXES, faults)
    if faults:
        raise FaultError(faults[0])
    return tuple(images.values())


def read_description(root: Path) -> Description:
    """Reads and checks ``dataset.yaml``.

    Raises:
        DataError: The file or PyYAML is missing, or a key is unknown, missing, or of a wrong type.
    """
    path = root / "dataset.yaml"
    if not path.is_file():
        raise _bad(path, "no such file", f"`edgeseg init {root}` writes one after looking at the images")
    try:
        import yaml
    except ImportError as error:
        remedy = "`pip install pyyaml`, or give classes and color, as a bundle does"
        raise _bad(path, "PyYAML is needed to read it and is not installed", remedy) from error
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _bad(path, f"not valid YAML ({' '.join(str(error).split())})", "correct it") from error
    if not isinstance(fields, dict):
        raise _bad(path, "holds no keys", "write at least name, classes and color")
    return _description(fields, path)


def check_classes(classes: Sequence[object], where: object) -> tuple[str, ...]:
    """Checks a list of class names.

    Args:
        classes: Names by class id, background first.
        where: Named in the message.

    Raises:
        DataError: Fewer than two or more than 255 classes, an empty or repeated name, or not a string.
    """
    names = tuple(name for name in classes if isinstance(name, str) and name.strip())
    if len(names) != len(classes) or len(set(names)) != len(names):
        raise _bad(where, f"the classes are {list(classes)!r}", "give each a different, non-empty name")
    if not 2 <= len(names) <= 255:
        remedy = "list 2 to 255: the background first, then at least one kind of foreground"
        raise _bad(where, f"{len(names)} class(es): {', '.join(names[:3])}", remedy)
    return names


def _description(fields: Mapping[object, object], path: Path) -> Description:
    _check_keys(fields, path)
    color, redistribute = fields["color"], fields.get("may_redistribute", False)
    if color not in ("gray", "rgb"):
        raise _bad(path, f"color is {color!r}", "write gray or rgb")
    if not isinstance(redistribute, bool):
        raise _bad(path, f"may_redistribute is {redistribute!r}", "write true or false")
    classes = fields["classes"]
    names = check_classes(classes if isinstance(classes, list) else [classes], path)
    if fields.get("task") not in (None, "binary" if len(names) == 2 else "multiclass"):
        raise _bad(path, f"task {fields['task']!r} contradicts {len(names)} classes", "remove the key task")
    return Description(
        name=str(fields.get("name") or path.resolve().parent.name),
        classes=names,
        color="gray" if color == "gray" else "rgb",
        pixel_mm=_pixel_mm(fields.get("pixel_mm"), path),
        licence=str(fields.get("licence") or "unknown"),
        may_redistribute=redistribute,
        window=_window(fields.get("window"), path),
    )


def _check_keys(fields: Mapping[object, object], path: Path) -> None:
    for key in fields:
        if key not in _KEYS:
            near = difflib.get_close_matches(str(key), _KEYS, n=1)
            raise _bad(path, f"unknown key {key!r}", f"did you mean {near[0]}?" if near else "remove it")
    for needed in ("classes", "color"):
        if needed not in fields:
            raise _bad(path, f"the key {needed} is missing", "add it")


def _window(value: object, path: Path) -> IntensityWindow | None:
    window = None if value is None else read_window(value)
    if value is not None and window is None:
        raise _bad(path, f"window is {value!r}", f"give {WINDOW_FORM}, or remove it where all images have 8 bits")
    return window


def _pixel_mm(value: object, path: Path) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e6:
        raise _bad(path, f"pixel_mm is {value!r}", "give the edge length of a pixel in mm, or remove it if unknown")
    return float(value)


def _bad(where: object, message: str, remedy: str) -> FaultError:
    return FaultError(Fault(str(where), "bad description", message, remedy))


def _by_stem(folder: Path, suffixes: tuple[str, ...], faults: list[Fault]) -> dict[str, Path]:
    """Files by stem; anything with another suffix is ignored, unless nothing else is there."""
    if not folder.is_dir():
        faults.append(Fault(f"{folder.name}/", "missing folder", "no such folder", f"make {folder} and fill it"))
        return {}
    names = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    found: dict[str, Path] = {}
    for path in names:
        if path.suffix.lower() not in suffixes or not path.is_file():
            continue
        if path.stem in found:
            other = found[path.stem].name
            message, remedy = f"has the same stem as {other}", "rename or remove one of them"
            faults.append(Fault(f"{folder.name}/{path.name}", "duplicate stem", message, remedy))
        found.setdefault(path.stem, path)
    if not found:
        kinds = sorted({path.suffix or "folders" for path in names})
        seen = f"only {', '.join(kinds)}" if kinds else "nothing"
        message, remedy = f"no usable file, {seen} in it", f"put {', '.join(suffixes)} files there"
        faults.append(Fault(f"{folder.name}/", "empty folder", message, remedy))
    return found


def _read_meta(path: Path, faults: list[Fault]) -> tuple[tuple[str, ...], dict[str, dict[str, str]]]:
    """Header and rows of meta.csv; spreadsheets' byte-order mark and semicolons are taken as well."""
    if not path.is_file():
        return (), {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        faults.append(Fault(path.name, "unreadable", "not UTF-8 text", "save it as CSV in UTF-8"))
        return (), {}
    semicolons = bool(lines) and ";" in lines[0] and "," not in lines[0]
    reader = csv.DictReader(lines, delimiter=";" if semicolons else ",")
    header = tuple(reader.fieldnames or ())
    if "stem" not in header or len(set(header)) != len(header):
        message = f"the header is {', '.join(header) or 'empty'}"
        faults.append(Fault(path.name, "bad header", message, "name the columns, each once, with one called stem"))
        return (), {}
    rows: dict[str, dict[str, str]] = {}
    for row in reader:
        if None in row or None in row.values():
            faults.append(Fault(path.name, "bad row", f"line {reader.line_num} has not {len(header)} fields", "fix it"))
            continue
        stem = row.pop("stem")
        if stem in rows:
            faults.append(Fault(path.name, "duplicate stem", f"{stem} has two rows", "remove one"))
        rows[stem] = row
    return tuple(name for name in header if name != "stem"), rows


def _unmatched_rows(images: Mapping[str, Path], rows: Mapping[str, object]) -> list[Fault]:
    lost = "add it or correct the stem (a spreadsheet may have dropped leading zeros)"
    return [
        Fault("meta.csv", "row without image", f"{stem} is not in images/", lost) for stem in rows if stem not in images
    ] + [
        Fault(f"images/{path.name}", "image without row", f"{stem} is not in meta.csv", "add its row")
        for stem, path in images.items()
        if stem not in rows
    ]


def _split_faults(rows: Mapping[str, Mapping[str, str]]) -> list[Fault]:
    faults: list[Fault] = []
    seen: dict[str, set[str]] = {}
    for stem, row in rows.items():
        if row["split"] not in SPLITS:
            message = f"{stem} has the split {row['split']!r}"
            faults.append(Fault("meta.csv", "unknown split", message, f"write {', '.join(SPLITS)}"))
        if row.get("group", "").strip():
            seen.setdefault(row["group"].strip(), set()).add(row["split"])
    return faults + [
        Fault(
            "meta.csv",
            "group across splits",
            f"the group {group} is in {', '.join(sorted(splits))}",
            "put all its images into one split, or remove the column split to have one made",
        )
        for group, splits in seen.items()
        if len(splits) > 1
    ]


def _in(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()
