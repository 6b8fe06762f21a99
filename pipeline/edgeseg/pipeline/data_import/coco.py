"""COCO: `images`, `annotations` and `categories` in JSON files (https://cocodataset.org/#format-data)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from edgeseg.pipeline.data_import.json_file import corners, numbers, objects, read_json, size
from edgeseg.pipeline.data_import.paths import OutsideError, Tree, split_of
from edgeseg.pipeline.data_import.raster import box, polygons
from edgeseg.pipeline.data_import.rle import decode_counts, runs_to_mask
from edgeseg.pipeline.data_import.source import Item, Shape, Size, Source, Tally, UInt8, Wishes, bad
from edgeseg.runtime.errors import DataError

_CROWD = "__ignore__"  # drawn first, so that objects lie over it
_KEYS = {"images", "annotations", "categories"}


def read(tree: Tree, wishes: Wishes, tally: Tally) -> Source:
    """Read every COCO file of a folder.

    Raises:
        DataError: There is none, or one is not as the format says.
    """
    items: dict[str, Item] = {}
    labels: dict[str, None] = {}
    crowds = found = 0
    for path in tree.files(".json"):
        content = read_json(path)
        if not isinstance(content, dict) or not set(content) >= _KEYS:
            tally.skip("JSON files without images, annotations and categories", tree.name(path))
            continue
        found += 1
        one = _File(tree, path, wishes, tally)
        for item in one.items(content):
            _add(items, item, tally)
        labels |= dict.fromkeys(one.names.values())
        crowds += one.n_crowds
    if not found:
        remedy = "give the folder with the annotation file, one with images, annotations and categories"
        raise DataError(f"{tree.root}: no COCO file in it; {remedy}")
    _unlisted(tree, items, tally)
    return Source(tuple(items.values()), (*labels, *([_CROWD] if crowds else [])))


def _add(items: dict[str, Item], item: Item, tally: Tally) -> None:
    """Join what several files say of one picture, such as one file for each kind of object."""
    before = items.get(item.name)
    if before is None:
        items[item.name] = item
        return
    if before.size_px != item.size_px:
        raise DataError(f"{item.name}: two COCO files give it different sizes; keep one of them")
    if before.split != item.split:
        tally.note("in several splits, taken in the first", item.name)
    items[item.name] = replace(
        before,
        shapes=_crowds_first(before.shapes + item.shapes),
        annotated=before.annotated or item.annotated,
        n_left=before.n_left + item.n_left,
    )


def _crowds_first(shapes: Iterable[Shape]) -> tuple[Shape, ...]:
    return tuple(sorted(shapes, key=lambda shape: shape.label != _CROWD))


def _unlisted(tree: Tree, items: Mapping[str, Item], tally: Tally) -> None:
    for path in tree.pictures():
        if tree.name(path) not in items:
            tally.skip("images that no COCO file lists", tree.name(path))


class _File:
    """One annotation file."""

    def __init__(self, tree: Tree, path: Path, wishes: Wishes, tally: Tally) -> None:
        self._tree, self._path, self._wishes, self._tally = tree, path, wishes, tally
        self.names: dict[Any, str] = {}
        self.n_crowds = 0
        self._split = split_of(path.stem) or split_of(tree.name(path.parent))

    def items(self, content: Mapping[str, Any]) -> list[Item]:
        """Its pictures with their objects, in the order of the file."""
        for index, category in enumerate(objects(content["categories"], self._path, "categories")):
            if not isinstance(category.get("name"), str) or not _is_id(category.get("id")):
                raise bad(self._path, f"categories[{index}]", "needs a name and an id", "export it again")
            self.names[category["id"]] = category["name"]
        shapes = self._shapes(objects(content["annotations"], self._path, "annotations"))
        listed = []
        for index, image in enumerate(objects(content["images"], self._path, "images")):
            if not isinstance(image.get("file_name"), str) or not image["file_name"] or not _is_id(image.get("id")):
                raise bad(self._path, f"images[{index}]", "needs a file_name and an id", "export it again")
            item = self._item(image, f"images[{index}]", shapes.pop(image["id"], None))
            if item is not None:
                listed.append(item)
        for number, left in shapes.items():
            for _ in left:
                self._tally.skip("annotations of an image that is not listed", f"image_id {number}")
        return listed

    def _item(self, image: Mapping[str, Any], place: str, shapes: list[Shape | None] | None) -> Item | None:
        name = image["file_name"]
        size_px = size(image.get("height"), image.get("width"), self._path, place)
        folders = (self._path.parent, self._path.parent / "images", self._path.parent.parent / "images")
        near = () if self._split is None else tuple(one / self._split for one in folders)
        try:
            found = self._tree.find(name, *near, *folders, self._tree.root, prefer=self._split)
        except OutsideError:
            self._tally.skip("images whose name leads out of the source", name)
            return None
        if found is None:
            self._tally.skip("images missing, or several of that name", name)
            return None
        split = self._split or split_of(self._tree.name(found.parent))
        drawn = _crowds_first(one for one in shapes or [] if one)
        n_left = len(shapes or []) - len(drawn)
        return Item(self._tree.name(found), found, drawn, None, size_px, split, shapes is not None, n_left)

    def _shapes(self, annotations: list[dict[str, Any]]) -> dict[Any, list[Shape | None]]:
        """Objects by image id, None for one that is not taken."""
        found: dict[Any, list[Shape | None]] = {}
        for index, one in enumerate(annotations):
            where = f"annotations[{index}]"
            if not _is_id(one.get("image_id")) or "category_id" not in one:
                raise bad(self._path, where, "needs an image_id and a category_id", "export it again")
            found.setdefault(one["image_id"], []).append(self._shape(one, where))
        return found

    def _shape(self, one: Mapping[str, Any], place: str) -> Shape | None:
        where = f"{self._path}: {place}"
        name = self.names.get(one["category_id"]) if _is_id(one["category_id"]) else None
        if name is None:
            self._tally.skip(f"objects of an unknown category_id {one['category_id']}", where)
            return None
        drawn = self._drawn(one, place)
        if drawn is None:
            kind = "keypoints" if one.get("keypoints") else "boxes" if one.get("bbox") else "objects"
            self._tally.skip(f"{kind} without an outline" + " (--boxes takes them)" * (kind == "boxes"), where)
            return None
        kind, draw = drawn
        if one.get("iscrowd") and not self._wishes.crowds:
            self.n_crowds += 1
            reason = "crowds (iscrowd): their pixels do not count, 255 in the masks (--crowds takes them as objects)"
            self._tally.skip(reason, where)
            return Shape(_CROWD, "crowd", draw, where)
        return Shape(name, kind, draw, where)

    def _drawn(self, one: Mapping[str, Any], place: str) -> tuple[str, Callable[[Size], UInt8]] | None:
        outline, path = one.get("segmentation"), self._path
        if isinstance(outline, dict):
            return "rle", partial(_run_lengths, outline)
        if outline and not isinstance(outline, list):
            raise bad(path, place, f"its segmentation is {str(outline)[:40]!r}", "export it again")
        if outline:
            flat = outline if isinstance(outline[0], list) else [outline]
            parts = [corners(numbers(part, path, place), path, place) for part in flat]
            return "polygon", partial(polygons, parts)
        if self._wishes.boxes and one.get("bbox"):
            edges = numbers(one["bbox"], path, place)
            if len(edges) != 4:
                raise bad(path, place, "its bbox has not four numbers", "export it again")
            x, y, width, height = edges
            return "box", partial(box, (x, y, x + width, y + height))
        return None


def _run_lengths(outline: Mapping[str, Any], size_px: Size) -> UInt8:
    counts, declared = outline.get("counts"), outline.get("size")
    if declared != list(size_px):
        raise ValueError(f"its run lengths are for [height, width] {declared}, the image has {list(size_px)}")
    if isinstance(counts, str):
        counts = decode_counts(counts)
    if not isinstance(counts, list):
        raise ValueError(f"its run lengths are {str(counts)[:40]!r}")
    return runs_to_mask(counts, size_px, by_columns=True)


def _is_id(value: object) -> bool:
    return isinstance(value, int | str)
