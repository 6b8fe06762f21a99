"""CVAT for images 1.1: one XML file with a list of images (https://docs.cvat.ai, "CVAT for image")."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from xml.etree import ElementTree as ET

from edgeseg.pipeline.data_import.json_file import corners, size
from edgeseg.pipeline.data_import.paths import OutsideError, Tree, folder_split, split_of
from edgeseg.pipeline.data_import.raster import box, ellipse, paste, polygon
from edgeseg.pipeline.data_import.rle import runs_to_mask
from edgeseg.pipeline.data_import.source import Item, Shape, Size, Source, Tally, UInt8, Wishes, bad
from edgeseg.runtime.errors import DataError
from edgeseg.runtime.text.textfile import read_text

# A document type brings entities, which blow up to gigabytes or read other files. CVAT writes none.
_DECLARATION = re.compile(r"<!(?!--|\[CDATA\[)\s*(\w*)")


def read(tree: Tree, _: Wishes, tally: Tally) -> Source:
    """Read every CVAT file of a folder.

    Raises:
        DataError: There is none, or one is not as CVAT writes it.
    """
    items: dict[str, Item] = {}
    labels: dict[str, None] = {}
    found = 0
    for path in tree.files(".xml"):
        root = _parsed(path)
        if root.tag != "annotations":
            tally.skip("XML files that are not CVAT's", tree.name(path))
            continue
        if root.find("track") is not None:
            raise bad(path, "track", "it is CVAT for video", "export it as CVAT for images 1.1")
        found += 1
        labels |= {name.text or "": None for name in root.iterfind("meta//label/name")}
        for index, image in enumerate(root.iterfind("image")):
            item = _item(tree, path, image, f"image {index} ({image.get('name')})", tally)
            if item is not None and item.name in items:
                raise bad(path, f"image {index}", f"{item.name} is there twice", "keep one of them")
            if item is not None:
                items[item.name] = item
    if not found:
        raise DataError(f"{tree.root}: no CVAT file in it; give the folder with annotations.xml of CVAT for images 1.1")
    for path in tree.pictures():
        if tree.name(path) not in items:
            tally.skip("images that no CVAT file lists", tree.name(path))
    labels |= {shape.label: None for item in items.values() for shape in item.shapes}
    return Source(tuple(items.values()), tuple(labels))


def _parsed(path: Path) -> ET.Element:
    try:
        text = read_text(path)
    except UnicodeDecodeError as error:
        raise bad(path, f"byte {error.start}", "not UTF-8 text", "save it as UTF-8") from error
    except OSError as error:
        raise bad(path, "", f"cannot be read ({error.strerror})", "check its rights and the disk") from error
    declared = _DECLARATION.search(text)
    if declared is not None:
        line = text.count("\n", 0, declared.start()) + 1
        message = f"a <!{declared[1]} declaration, which can hold entities and is not read"
        raise bad(path, f"line {line}", message, "remove it; CVAT writes none")
    try:
        return ET.fromstring(text)  # noqa: S314 - without declarations there are no entities
    except ET.ParseError as error:
        raise bad(path, f"line {error.position[0]}", f"not valid XML ({error})", "export it again") from error
    except ValueError as error:
        raise bad(path, "", f"not valid XML ({error})", "export it again") from error


def _item(tree: Tree, path: Path, image: ET.Element, place: str, tally: Tally) -> Item | None:
    name, subset = image.get("name"), image.get("subset") or ""
    if not name:
        raise bad(path, place, "has no name", "export it again")
    height, width = (_number(image, key, path, place) if image.get(key) else None for key in ("height", "width"))
    folders = (path.parent / "images" / subset, path.parent / "images", path.parent / subset, path.parent)
    try:
        found = tree.find(name, *folders, prefer=split_of(subset))
    except OutsideError:
        tally.skip("images whose name leads out of the source", name)
        return None
    if found is None:
        tally.skip("images missing, or several of that name", name)
        return None
    drawn = [one for one in image if _is_taken(one, path, place, tally)]
    # What has a higher z_order lies above, then what comes later.
    drawn.sort(key=lambda one: _number(one, "z_order", path, place, "0"))
    shapes = tuple(_shape(one, path, place) for one in drawn)
    split = split_of(subset) or split_of(path.stem) or folder_split(tree.name(found))
    n_left = len(image) - len(shapes)
    return Item(tree.name(found), found, shapes, None, size(height, width, path, place), split, len(image) > 0, n_left)


def _is_taken(one: ET.Element, path: Path, place: str, tally: Tally) -> bool:
    if one.tag in _DRAWN:
        return True
    tally.skip(f"shapes without an area: {one.tag}", f"{path}: {place}")
    return False


def _shape(one: ET.Element, path: Path, place: str) -> Shape:
    label = one.get("label")
    if not label:
        raise bad(path, place, f"a {one.tag} without a label", "export it again")
    here = f"{place}, {one.tag} of {label}"
    return Shape(label, one.tag, _DRAWN[one.tag](one, path, here), f"{path}: {here}")


def _polygon(one: ET.Element, path: Path, place: str) -> Callable[[Size], UInt8]:
    try:
        flat = [float(value) for point in (one.get("points") or "").split(";") for value in point.split(",")]
    except ValueError as error:
        raise bad(path, place, f"its points are no numbers ({error})", "export it again") from error
    if not all(-1e9 < value < 1e9 for value in flat):
        raise bad(path, place, "its points are no finite numbers", "export it again")
    return partial(polygon, corners(flat, path, place))


def _box(one: ET.Element, path: Path, place: str) -> Callable[[Size], UInt8]:
    x0, y0, x1, y1 = (_number(one, key, path, place) for key in ("xtl", "ytl", "xbr", "ybr"))
    return partial(box, (x0, y0, x1, y1), degrees=_number(one, "rotation", path, place, "0"))


def _ellipse(one: ET.Element, path: Path, place: str) -> Callable[[Size], UInt8]:
    x, y, rx, ry = (_number(one, key, path, place) for key in ("cx", "cy", "rx", "ry"))
    return partial(ellipse, (x, y), (rx, ry), degrees=_number(one, "rotation", path, place, "0"))


def _mask(one: ET.Element, path: Path, place: str) -> Callable[[Size], UInt8]:
    left, top, width, height = (int(_number(one, key, path, place)) for key in ("left", "top", "width", "height"))
    try:
        counts = [int(count) for count in (one.get("rle") or "").split(",")]
        part = runs_to_mask(counts, (height, width), by_columns=False)
    except ValueError as error:
        raise bad(path, place, f"its rle is not right ({error})", "export it again") from error
    return partial(paste, part, left, top)


_DRAWN: dict[str, Callable[[ET.Element, Path, str], Callable[[Size], UInt8]]] = {
    "polygon": _polygon,
    "box": _box,
    "ellipse": _ellipse,
    "mask": _mask,
}


def _number(one: ET.Element, key: str, path: Path, place: str, default: str | None = None) -> float:
    text = one.get(key, default)
    try:
        value = float(text or "")
    except ValueError:
        value = float("nan")
    if not -1e9 < value < 1e9:
        raise bad(path, place, f"its {key} is {text!r}", "export it again")
    return value
