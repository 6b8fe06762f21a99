"""labelme: a JSON file beside each picture, with `shapes` and `imagePath` (labelme's `_label_file.py`)."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgeseg.pipeline.data_import.json_file import corners, numbers, objects, read_json, size
from edgeseg.pipeline.data_import.paths import OutsideError, Tree, folder_split
from edgeseg.pipeline.data_import.raster import box, ellipse, paste, polygon
from edgeseg.pipeline.data_import.source import Item, Shape, Size, Source, Tally, UInt8, Wishes, bad
from edgeseg.runtime.errors import DataError

_OUTLINES = ("polygon", "oriented_rectangle")
_BY_TWO_POINTS = ("rectangle", "circle", "mask")


def read(tree: Tree, _: Wishes, tally: Tally) -> Source:
    """Read every labelme file of a folder, and list pictures that have none.

    Raises:
        DataError: There is none, or one is not as labelme writes it.
    """
    items: dict[str, Item] = {}
    found = 0
    for path in tree.files(".json"):
        content = read_json(path)
        if not isinstance(content, dict) or not {"shapes", "imagePath"} <= set(content):
            tally.skip("JSON files without shapes and imagePath", tree.name(path))
            continue
        found += 1
        item = _item(tree, path, content, tally)
        if item is None:
            continue
        if item.name in items:
            raise bad(path, "imagePath", f"{item.name} is annotated by another file too", "keep one of them")
        items[item.name] = item
    if not found:
        raise DataError(f"{tree.root}: no labelme file in it; give the folder with the JSON files that labelme wrote")
    # Pictures elsewhere may be masks, or drawings of them.
    folders = {item.image.parent for item in items.values() if isinstance(item.image, Path)}
    for path in tree.pictures():
        name = tree.name(path)
        if path.parent in folders:
            items.setdefault(name, Item(name, path, split=folder_split(name), annotated=False))
        elif name not in items:
            tally.skip("images in folders where none is annotated", name)
    labels = sorted({shape.label for item in items.values() for shape in item.shapes})
    return Source(tuple(items[name] for name in sorted(items)), tuple(labels))


def _item(tree: Tree, path: Path, content: Mapping[str, Any], tally: Tally) -> Item | None:
    size_px = size(content.get("imageHeight"), content.get("imageWidth"), path, "imageHeight, imageWidth")
    shapes = []
    for index, one in enumerate(objects(content["shapes"], path, "shapes")):
        shape = _shape(one, path, f"shapes[{index}]", tally)
        if shape is not None:
            shapes.append(shape)
    image = _image(tree, path, content, tally)
    if image is None:
        return None
    # Of a picture that the file holds itself, the file's name.
    name = tree.name(image) if isinstance(image, Path) else tree.name(path)
    n_left = len(content["shapes"]) - len(shapes)
    return Item(name, image, tuple(shapes), None, size_px, folder_split(name), n_left=n_left)


def _image(tree: Tree, path: Path, content: Mapping[str, Any], tally: Tally) -> Path | bytes | None:
    name, outside = content["imagePath"], False
    if not isinstance(name, str) or not name:
        raise bad(path, "imagePath", f"it is {name!r}", "name the picture")
    found = None
    try:
        found = tree.find(name, path.parent, tree.root, prefer=folder_split(tree.name(path)))
    except OutsideError:
        outside = True
    if found is not None:
        return found
    if content.get("imageData"):
        tally.note("image taken out of the labelme file, since imagePath is not in the source", tree.name(path))
        return _decoded(content["imageData"], path, "imageData")
    reason = "images whose name leads out of the source" if outside else "images missing, or several of that name"
    tally.skip(reason, f"{tree.name(path)}: {name}")
    return None


def _shape(one: Mapping[str, Any], path: Path, place: str, tally: Tally) -> Shape | None:
    label, kind = one.get("label"), one.get("shape_type") or "polygon"
    if not isinstance(label, str) or not label.strip():
        raise bad(path, place, f"its label is {label!r}", "give it one in labelme")
    where = f"{path}: {place}"
    if kind not in (*_OUTLINES, *_BY_TWO_POINTS):
        tally.skip(f"shapes without an area: {kind}", where)
        return None
    points = one.get("points")
    if not isinstance(points, list) or not all(isinstance(point, list) and len(point) == 2 for point in points):
        raise bad(path, place, "its points are no list of [x, y]", "draw it again in labelme")
    flat = numbers([value for point in points for value in point], path, place)
    if kind in _BY_TWO_POINTS and len(flat) != 4:
        raise bad(path, place, f"a {kind} of {len(flat) // 2} points, but it needs 2", "draw it again in labelme")
    return Shape(label, kind, _drawn(kind, flat, one, path, place), where)


def _drawn(kind: str, flat: list[float], one: Mapping[str, Any], path: Path, place: str) -> Callable[[Size], UInt8]:
    if kind in _OUTLINES:
        return partial(polygon, corners(flat, path, place))
    x0, y0, x1, y1 = flat
    if kind == "rectangle":
        return partial(box, (x0, y0, x1, y1))
    if kind == "circle":  # its centre and a point on it
        radius = math.hypot(x1 - x0, y1 - y0)
        return partial(ellipse, (x0, y0), (radius, radius))
    part = _mask(one.get("mask"), path, place)
    # Both corners are pixels of the mask.
    if part.shape != (int(y1) - int(y0) + 1, int(x1) - int(x0) + 1):
        message = f"its mask has {part.shape[1]}x{part.shape[0]} pixels, which its points do not span"
        raise bad(path, place, message, "draw it again in labelme")
    return partial(paste, part, int(x0), int(y0))


def _mask(text: object, path: Path, place: str) -> UInt8:
    png = np.frombuffer(_decoded(text, path, f"{place}.mask"), np.uint8)
    mask = cv2.imdecode(png, cv2.IMREAD_GRAYSCALE) if png.size else None
    if mask is None:
        raise bad(path, f"{place}.mask", "no PNG", "draw it again in labelme")
    return np.asarray(mask, np.uint8)


def _decoded(text: object, path: Path, place: str) -> bytes:
    try:
        return base64.b64decode(text if isinstance(text, str) else "", validate=False)
    except (binascii.Error, ValueError) as error:
        raise bad(path, place, f"not base64 ({error})", "save it again in labelme") from error
