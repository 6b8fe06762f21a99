"""Masks in colours: each class has one, and a colour that has no class is refused, never guessed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgeseg.pipeline.data_import import folders, labelmap
from edgeseg.pipeline.data_import.classes import BACKGROUND, Colour, check_colours, colours_of, is_background
from edgeseg.pipeline.data_import.paths import Tree
from edgeseg.pipeline.data_import.source import Source, Tally, UInt8, Wishes
from edgeseg.runtime.data.ignored import IGNORED
from edgeseg.runtime.data.imagefile import decode, to_color
from edgeseg.runtime.errors import ConfigError, DataError
from edgeseg.runtime.faults import FaultError

_BLACK: Colour = (0, 0, 0)
_IGNORED = ("ignore", "ignored")  # as Datumaro names the borders of Pascal VOC
_SHOWN = 8


def read(tree: Tree, wishes: Wishes, tally: Tally) -> Source:
    """Pairs pictures with masks in colours.

    Raises:
        ConfigError: No table of colours is given, or it names a colour twice.
        DataError: There are no masks, or labelmap.txt is not right.
    """
    colours = colours_of(wishes.classes) if wishes.classes else labelmap.find(tree)
    if not colours:
        remedy = "give one with --classes 'crack=#ff0000,dent=#00ff00', or as labelmap.txt (name:r,g,b::)"
        raise ConfigError(f"{tree.root}: no table of colours; {remedy}")
    check_colours(colours, "--classes" if wishes.classes else "labelmap.txt")
    masks = _Colours(colours)
    return Source(folders.items(folders.pairs(tree, tally), masks.read), names=masks.names, at_end=masks.at_end)


class _Colours:
    """Turns colours into class ids, and counts those that have no class."""

    def __init__(self, colours: dict[str, Colour]) -> None:
        classes = [name for name in colours if not is_background(name) and name.casefold() not in _IGNORED]
        self.names = (BACKGROUND, *classes)
        ids = {name: number for number, name in enumerate(self.names)}
        self._ids: dict[int, int] = {}
        if _BLACK not in colours.values() and not any(map(is_background, colours)):
            self._ids[_key(_BLACK)] = 0
        for name, colour in colours.items():
            number = 0 if is_background(name) else IGNORED if name.casefold() in _IGNORED else ids[name]
            self._ids[_key(colour)] = number
        self._pixels: Counter[int] = Counter()
        self._images: Counter[int] = Counter()
        self._first: dict[int, str] = {}

    def read(self, path: Path) -> UInt8:
        """Class ids, uint8, shape (H, W); unknown colours become background until `at_end` refuses them."""
        rgb = _rgb(path).astype(np.uint32)  # (H, W, 3)
        keys = (rgb[..., 0] << 16) | (rgb[..., 1] << 8) | rgb[..., 2]
        values, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            if value not in self._ids:
                self._pixels[value] += count
                self._images[value] += 1
                self._first.setdefault(value, str(path))
        numbers = np.array([self._ids.get(value, 0) for value in values.tolist()], np.uint8)
        return numbers[inverse].reshape(keys.shape)

    def at_end(self) -> None:
        """Refuse the whole where a colour has no class.

        Raises:
            DataError: With the colours and their counts.
        """
        if not self._pixels:
            return
        rows = [
            f"#{value:06x}: {count} pixels in {self._images[value]} mask(s), first {self._first[value]}"
            for value, count in self._pixels.most_common(_SHOWN)
        ]
        more = f"\n  and {len(self._pixels) - _SHOWN} more" if len(self._pixels) > _SHOWN else ""
        remedy = (
            "give each its class in --classes or labelmap.txt (ignore=#RRGGBB for pixels that do not count); very many "
            "colours are the mark of masks that were resized smoothly, or saved as JPEG"
        )
        listed = "".join(f"\n  {row}" for row in rows)
        raise DataError(f"{len(self._pixels)} colour(s) have no class; {remedy}{listed}{more}")


def _key(colour: Colour) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]


def _rgb(path: Path) -> Any:
    try:
        return to_color(decode(path, is_mask=True), "rgb", path)
    except FaultError as error:
        if error.fault.kind != "palette":
            raise
    # The colours of the palette; which of them are shown as transparent says nothing about their class.
    stored: Any = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    return stored[..., ::-1]
