"""YOLO segmentation (Ultralytics): data.yaml, images/, and in labels/ a text file each with outlines from 0 to 1.

A line is a class number and x y pairs; one of five numbers is a box: class, centre, width, height
(https://docs.ultralytics.com/datasets/segment/).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.pipeline.data_import.paths import OutsideError, Tree, folder_split
from edgeseg.pipeline.data_import.raster import Points, box, polygon
from edgeseg.pipeline.data_import.source import Item, Shape, Size, Source, Tally, UInt8, Wishes, bad
from edgeseg.runtime.data.described.yamltext import YamlError, as_name, read_yaml
from edgeseg.runtime.data.splits import SPLITS
from edgeseg.runtime.errors import DataError
from edgeseg.runtime.text.textfile import read_text

_NAME_FILES = ("classes.txt", "obj.names")
_SLACK = 0.01  # exporters round, and draw a little over the border


def read(tree: Tree, wishes: Wishes, tally: Tally) -> Source:
    """Read a folder with data.yaml, or with a list of names and labels/ beside images/.

    Raises:
        DataError: Names or images are not found, or a label file is not as the format says.
    """
    description = _description(tree)
    values = {} if description is None else _values(description)
    if "kpt_shape" in values:
        raise bad(description, "kpt_shape", "these are keypoints, without outlines", "export as YOLO segmentation")
    names = _names(tree, description, values)
    pictures = dict(_listed(tree, description, values, tally) if description else ())
    if not pictures:
        pictures = _labelled_folders(tree)
    items = [_item(tree, path, split, names, wishes, tally) for path, split in pictures.items()]
    if not any(item.annotated for item in items):
        remedy = "labels/ has to mirror images/: labels/train/a.txt for images/train/a.jpg"
        raise DataError(f"{tree.root}: no label file for any of {len(tree.pictures())} images; {remedy}")
    for path in tree.pictures():
        if path not in pictures:
            tally.skip("images that are not listed, or in folders where none has a label file", tree.name(path))
    return Source(items, tuple(names.values()))


def _labelled_folders(tree: Tree) -> dict[Path, str | None]:
    """Pictures of folders in which one has a label file; those elsewhere may be anything."""
    folders = {path.parent for path in tree.pictures() if _label_file(tree, path) is not None}
    return {path: folder_split(tree.name(path)) for path in tree.pictures() if path.parent in folders}


def _description(tree: Tree) -> Path | None:
    found = [path for path in tree.files(".yaml", ".yml") if "names" in _values(path)]
    if len(found) > 1:
        listed = ", ".join(map(tree.name, found[:5]))
        raise DataError(f"{tree.root}: several descriptions with names ({listed}); leave the one that is meant")
    return found[0] if found else None


def _values(path: Path) -> dict[str, Any]:
    try:
        values = read_yaml(read_text(path)).values
    except YamlError as error:
        raise bad(path, "", f"not valid YAML ({error})", "correct it") from error
    except UnicodeDecodeError as error:
        raise bad(path, f"byte {error.start}", "not UTF-8 text", "save it as UTF-8") from error
    return values if isinstance(values, dict) else {}


def _names(tree: Tree, description: Path | None, values: dict[str, Any]) -> dict[int, str]:
    if description is None:
        return _listed_names(tree)
    given = values["names"]
    try:
        pairs = enumerate(given) if isinstance(given, list) else ((int(key), one) for key, one in given.items())
        names = {number: as_name(value) for number, value in pairs}
    except (AttributeError, TypeError, ValueError) as error:
        raise bad(description, "names", "neither a list nor numbers with names", "correct it") from error
    for number, name in names.items():
        if name is None or not name.strip():
            raise bad(description, f"names[{number}]", "no name", "write one, in quotes if YAML reads it otherwise")
    if len(set(names.values())) != len(names):
        raise bad(description, "names", "a name is there twice", "give each class its own")
    return {number: name for number, name in sorted(names.items()) if name is not None}


def _listed_names(tree: Tree) -> dict[int, str]:
    """Names where there is no data.yaml: a line each, the first of class 0."""
    lists = {path: _lines_of_names(path) for path in tree.files(".txt", ".names") if path.name in _NAME_FILES}
    if not lists:
        remedy = "add one with names: [first, second, ...] in the order of the class numbers"
        raise DataError(f"{tree.root}: no data.yaml with names in it; {remedy}")
    first, *others = lists
    for path in others:
        if lists[path] != lists[first]:
            both = f"{tree.name(first)} and {tree.name(path)}"
            raise DataError(f"{tree.root}: {both} name different classes; leave the one that is meant")
    return dict(enumerate(lists[first]))


def _lines_of_names(path: Path) -> list[str]:
    names: list[str] = []
    for number, line in enumerate(_text(path).rstrip().splitlines(), 1):
        name = line.strip()
        if not name:
            remedy = f"name class {number - 1} there, or delete the line if the numbers go on without it"
            raise bad(path, f"line {number}", "no name", remedy)
        if name in names:
            raise bad(path, f"line {number}", f"{name} is there twice", "give each class its own")
        names.append(name)
    return names


def _listed(tree: Tree, path: Path, values: dict[str, Any], tally: Tally) -> Iterator[tuple[Path, str | None]]:
    """The pictures of train, val and test as data.yaml names them: folders, text files with names, or lists of both."""
    seen: set[Path] = set()
    for split in SPLITS:
        given = values.get(split) or (values.get("valid") if split == "val" else None) or []
        for entry in given if isinstance(given, list) else [given]:
            if not isinstance(entry, str):
                raise bad(path, split, f"it is {entry!r}", "name a folder of images, or a text file that lists them")
            for picture in _entry(tree, path, values.get("path"), entry, split, tally):
                if picture in seen:
                    tally.note("in several splits, taken in the first", tree.name(picture))
                else:
                    seen.add(picture)
                    yield picture, split


def _entry(tree: Tree, path: Path, base: object, entry: str, split: str, tally: Tally) -> list[Path]:
    # As Ultralytics has it, and without the .. that exports of Roboflow begin with.
    bases = [path.parent / base, path.parent] if isinstance(base, str) else [path.parent]
    names = dict.fromkeys((entry, re.sub(r"^(\.\./)+", "", entry)))
    outside = False
    for place in (one / name for name in names for one in (*bases, tree.root)):
        try:
            if place.is_dir():
                tree.inside(place)
                start = place.resolve()
                return [one for one in tree.pictures() if one.resolve().is_relative_to(start)]
            found = tree.inside(place)
        except OutsideError:
            outside = True
            continue
        if found is not None and found.suffix.lower() == ".txt":
            return _lines(tree, found, split, tally)
        if found is not None:
            return [found]
    if outside:
        tally.skip("folders or lists that lead out of the source", entry)
    else:
        tally.skip("folders or lists that are missing", entry)
    return []


def _lines(tree: Tree, path: Path, split: str, tally: Tally) -> list[Path]:
    pictures = []
    for line in filter(None, map(str.strip, _text(path).splitlines())):
        try:
            found = tree.find(line, path.parent, tree.root, prefer=split)
        except OutsideError:
            tally.skip("images whose name leads out of the source", line)
            continue
        if found is None:
            tally.skip("images missing, or several of that name", line)
        else:
            pictures.append(found)
    return pictures


def _item(tree: Tree, path: Path, split: str | None, names: dict[int, str], wishes: Wishes, tally: Tally) -> Item:
    labels = _label_file(tree, path)
    if labels is None:
        return Item(tree.name(path), path, split=split, annotated=False)
    shapes = []
    lines = [(number, line) for number, line in enumerate(_text(labels).splitlines(), 1) if line.strip()]
    for number, line in lines:
        values = _numbers(line, labels, f"line {number}")
        where = f"{labels}: line {number}"
        if len(values) == 5 and not wishes.boxes:
            tally.skip("boxes without an outline (--boxes takes them)", where)
            continue
        name = names.get(int(values[0]))
        if name is None:
            tally.skip(f"objects of an unknown class {int(values[0])}", where)
            continue
        kind = "box" if len(values) == 5 else "polygon"
        shapes.append(Shape(name, kind, _drawn(values[1:]), where))
    return Item(tree.name(path), path, tuple(shapes), split=split, n_left=len(lines) - len(shapes))


def _numbers(line: str, path: Path, place: str) -> list[float]:
    try:
        values = [float(word) for word in line.split()]
    except ValueError as error:
        raise bad(path, place, f"not numbers alone ({error})", "correct it") from error
    if not all(map(math.isfinite, values)) or values[0] < 0 or values[0] != int(values[0]):
        raise bad(path, place, f"{line[:40]!r} has no class number, or is not finite", "correct it")
    if len(values) != 5 and (len(values) < 7 or len(values) % 2 == 0):
        message = f"{len(values)} numbers, but an outline has a class and three x y pairs or more, a box 5 numbers"
        raise bad(path, place, message, "correct it, or export it as YOLO segmentation")
    wrong = [value for value in values[1:] if not -_SLACK <= value <= 1 + _SLACK]
    if wrong:
        message = f"has {wrong[0]:g}, but coordinates are parts of the width or height, from 0 to 1"
        raise bad(path, place, message, "divide by the image's size, or export it as YOLO segmentation")
    return values


def _drawn(values: list[float]) -> Callable[[Size], UInt8]:
    return partial(_scaled_box if len(values) == 4 else _scaled_polygon, np.array(values, np.float64).reshape(-1, 2))


def _scaled_polygon(points: Points, size_px: Size) -> UInt8:
    return polygon(points * np.array(size_px[::-1], np.float64), size_px)


def _scaled_box(points: Points, size_px: Size) -> UInt8:
    (x, y), (width, height) = points * np.array(size_px[::-1], np.float64)
    return box((x - width / 2, y - height / 2, x + width / 2, y + height / 2), size_px)


def _label_file(tree: Tree, path: Path) -> Path | None:
    """labels/ in place of the last images/ of the path, else beside the picture."""
    parts = list(path.relative_to(tree.root).parts)
    places = [path.with_suffix(".txt")]
    for index in range(len(parts) - 2, -1, -1):
        if parts[index] == "images":
            places.insert(0, tree.root.joinpath(*parts[:index], "labels", *parts[index + 1 :]).with_suffix(".txt"))
            break
    else:
        places.insert(0, (tree.root / "labels").joinpath(*parts).with_suffix(".txt"))
    for place in places:
        try:
            found = tree.inside(place)
        except OutsideError:
            continue
        if found is not None:
            return found
    return None


def _text(path: Path) -> str:
    try:
        return read_text(path)
    except UnicodeDecodeError as error:
        raise bad(path, f"byte {error.start}", "not UTF-8 text", "save it as UTF-8") from error
    except OSError as error:
        raise bad(path, "", f"cannot be read ({error.strerror})", "check its rights and the disk") from error
