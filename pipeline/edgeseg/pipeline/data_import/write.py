"""A source written as a data set of edgeseg: whole, or not at all."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from edgeseg.pipeline.data_import.classes import Table
from edgeseg.pipeline.data_import.paths import stems
from edgeseg.pipeline.data_import.picture import Picture, take, turned
from edgeseg.pipeline.data_import.source import Item, Size, Source, Tally, UInt8, bad
from edgeseg.pipeline.recipe.yaml_word import yaml_word
from edgeseg.runtime.data.ignored import IGNORED
from edgeseg.runtime.data.shares import Shares
from edgeseg.runtime.data.splits import SPLITS
from edgeseg.runtime.errors import DataError
from edgeseg.runtime.faults import FaultError
from edgeseg.runtime.files.png import encode_mask
from edgeseg.runtime.spec.input_spec import IntensityWindow
from edgeseg.runtime.text.names import name_bytes, without_bytes

Progress = Callable[[int, int], None]


class Writer:
    """Writes one picture after the other, and at the end what describes them.

    Attributes:
        shares: What each id covers.
        kinds: Objects by what they were drawn from.
        sizes: Pictures taken.
        splits: Pictures by split; empty where the source has none.
    """

    def __init__(self, folder: Path, table: Table | None, tally: Tally) -> None:
        self.shares = Shares()
        self.kinds: Counter[str] = Counter()
        self.n_images = self.n_unannotated = 0
        self.color = "gray"
        self.window: IntensityWindow | None = None
        self.highest_id = 0
        self.has_ignored = False
        self._folder, self._table, self._tally = folder, table, tally
        self._split_of: dict[str, str | None] = {}
        self._deep: bool | None = None
        for name in ("images", "masks"):
            (folder / name).mkdir()

    def add_all(self, source: Source, progress: Progress | None) -> None:
        """Write every picture that can be taken."""
        names = stems((item.name for item in source.items), self._tally.note)
        for done, item in enumerate(source.items, 1):
            try:
                self._add(item, names[item.name])
            except _NotTakenError as error:
                self._tally.skip(str(error), item.name)
            if progress is not None:
                progress(done, len(source.items))

    def splits(self) -> dict[str, int]:
        """Pictures by split, where meta.csv has one."""
        found = Counter(self._split_of.values())
        return {name: found[name] for name in SPLITS} if self._kept_split() else {}

    def finish(self, name: str, classes: tuple[str, ...]) -> None:
        """Write dataset.yaml and meta.csv."""
        lines = [
            "# Written by `edgeseg data import`.",
            f"name: {yaml_word(without_bytes(name))}",
            f"classes: [{', '.join(map(yaml_word, classes))}] # by class id, the background first",
            *([f"ignore: {IGNORED} # value in the masks of pixels that do not count"] if self.has_ignored else []),
            f"color: {self.color}",
        ]
        if self.window is not None:
            lines.append(f"window: {list(self.window)} # 16-bit values that become 0 and 255: the lowest and highest")
        lines += ["licence: unknown # of the images", "may_redistribute: false", ""]
        (self._folder / "dataset.yaml").write_bytes("\n".join(lines).encode())
        if self._kept_split():
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(("stem", "split"))
            writer.writerows(sorted(self._split_of.items()))
            (self._folder / "meta.csv").write_bytes(name_bytes(text.getvalue()))

    def _kept_split(self) -> bool:
        """Whether a split is written: one that has train and something beside it, and holds all pictures."""
        found = set(self._split_of.values())
        return len(found) > 1 and None not in found

    def split_notes(self) -> list[str]:
        """What became of the split, where that is not what one might think."""
        counts = Counter(self._split_of.values())
        words = ", ".join(f"{n} {name or 'in none'}" for name, n in sorted(counts.items(), key=str))
        if set(counts) <= {None}:
            return []
        if not self._kept_split():
            return [f"no split is written, since the source has not one for all its images ({words}); one is drawn"]
        missing = [name for name in SPLITS if not counts[name]]
        if missing:
            return [
                f"the source has no image for {' and '.join(missing)} ({words}): mark some in meta.csv, or remove its "
                "column split to have one drawn"
            ]
        return []

    def _add(self, item: Item, stem: str) -> None:
        path = self._on_disk(item, stem)
        try:
            picture = _picture(path, item)
        finally:
            if path.is_relative_to(self._folder):
                path.unlink()
        deep = picture.levels is not None
        if self._deep not in (None, deep):
            raise _NotTakenError(f"{16 if deep else 8} bits a channel, unlike the first image")
        mask, kinds = self._mask(item, picture)
        self._deep = deep
        self.kinds.update(kinds)
        self._note(item, picture)
        mask = turned(mask, picture.turn)
        self.shares.add(mask)
        self.has_ignored |= bool((mask == IGNORED).any())
        self.highest_id = max(self.highest_id, int(np.max(mask, where=mask != IGNORED, initial=0)))
        (self._folder / "images" / f"{stem}{picture.suffix}").write_bytes(picture.data)
        (self._folder / "masks" / f"{stem}.png").write_bytes(encode_mask(mask))
        self._split_of[stem] = item.split
        self.n_images += 1

    def _on_disk(self, item: Item, stem: str) -> Path:
        if isinstance(item.image, Path):
            return item.image
        path = self._folder / "images" / f".{stem}.embedded"
        path.write_bytes(item.image)
        return path

    def _note(self, item: Item, picture: Picture) -> None:
        if not item.annotated:
            self.n_unannotated += 1
            self._tally.note("without annotation, taken as background alone (--skip-unannotated)", item.name)
        if picture.converted:
            self._tally.note(f"converted to PNG without loss: {picture.converted}", item.name)
        if picture.turn != 1:
            self._tally.note("annotated as stored and shown turned by its orientation tag: mask turned", item.name)
        if not picture.gray:
            self.color = "rgb"
        if picture.levels is not None:
            lo, hi = self.window or picture.levels
            self.window = (min(lo, picture.levels[0]), max(hi, picture.levels[1]))

    def _mask(self, item: Item, picture: Picture) -> tuple[UInt8, list[str]]:
        return self._drawn(item, picture.drawn_px) if item.ids is None else (item.ids(), [])

    def _drawn(self, item: Item, size_px: Size) -> tuple[UInt8, list[str]]:
        """Draw all objects, the later over the earlier."""
        ids = {} if self._table is None else self._table.ids
        mask = np.zeros(size_px, np.uint8)
        kinds, covered, n_left = [], 0, item.n_left
        for shape in item.shapes:
            number = ids.get(shape.label)
            if number is None:
                n_left += 1
                self._tally.skip(f"objects of a class that is not taken: {shape.label}", shape.where)
                continue
            try:
                drawn = shape.draw(size_px)
            except ValueError as error:
                remedy = "export it again, or remove this object"
                raise bad(*_place(shape.where), str(error), remedy) from error
            x, y, width, height = cv2.boundingRect(drawn)
            part, pixels = mask[y : y + height, x : x + width], drawn[y : y + height, x : x + width] != 0
            below = part[pixels]
            if not below.size:
                self._tally.note(
                    "objects without the centre of any pixel in the image, not seen in the mask", item.name
                )
            covered += int(((below != 0) & (below != number) & (below != IGNORED)).sum())
            part[pixels] = number
            kinds.append(shape.kind)
        if n_left:
            self._tally.note("images with objects that are not taken: background there", item.name)
        if covered:
            self._tally.note("objects drawn over those of another class (the later over the earlier)", item.name)
        return mask, kinds


class _NotTakenError(Exception):
    """Why one picture is left out; the others are taken."""


def _picture(path: Path, item: Item) -> Picture:
    try:
        return take(path, item.size_px, annotated=item.annotated)
    except FaultError as error:
        raise _NotTakenError(f"{error.fault.message}; {error.fault.remedy}") from error
    except DataError as error:
        raise _NotTakenError(str(error)) from error


def _place(where: str) -> tuple[str, str]:
    file, _, place = where.partition(": ")
    return os.fspath(file), place
