"""Masks whose numbers are class ids: indices of a palette, or gray levels; 255 marks pixels that do not count (VOC)."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

from edgeseg.pipeline.data_import import folders, labelmap
from edgeseg.pipeline.data_import.classes import BACKGROUND, Colour, hex_of, is_background
from edgeseg.pipeline.data_import.paths import Tree
from edgeseg.pipeline.data_import.source import Source, Tally, UInt8, Wishes, bad
from edgeseg.runtime import container
from edgeseg.runtime.data.folder import check_classes
from edgeseg.runtime.data.ignored import IGNORED
from edgeseg.runtime.data.imagefile import read_stored_mask

_HEADER, _TYPE, _CHECK = 16, 25, 29  # places in a PNG: data of IHDR, its colour type, its checksum


def read(tree: Tree, wishes: Wishes, tally: Tally) -> Source:
    """Pairs pictures with masks whose numbers are kept.

    Raises:
        DataError: There are none, or a mask has a number without a name.
    """
    colours = {} if wishes.classes else labelmap.find(tree)
    names = wishes.classes or tuple(colours)
    if wishes.classes and not is_background(names[0]):
        names = (BACKGROUND, *names)
    if names:
        check_classes(names, "--classes" if wishes.classes else "labelmap.txt")
    ids = _Ids(names, tuple(colours.values()))
    return Source(folders.items(folders.pairs(tree, tally), ids.read), names=names or None)


class _Ids:
    """Reads masks of numbers that have names."""

    def __init__(self, names: tuple[str, ...], colours: tuple[Colour, ...]) -> None:
        self._n = len(names) or IGNORED
        self._colours = colours

    def read(self, path: Path) -> UInt8:
        """Class ids as stored."""
        mask = indices(path)
        values = np.unique(mask)
        over = values[(values >= self._n) & (values != IGNORED)]
        if over.size:
            counts = ", ".join(f"{value} ({int((mask == value).sum())} pixels)" for value in over[:8])
            message = f"holds {counts}, but there are names for 0 to {self._n - 1}"
            raise bad(path, "", message, "name all classes with --classes, or take the colours with --from color")
        self._check_colours(path, [value for value in values.tolist() if value < len(self._colours)])
        return mask

    def _check_colours(self, path: Path, values: list[int]) -> None:
        """Hold the file's own palette against labelmap.txt: names go by order only where the colours do."""
        palette = _palette(path.read_bytes()) if self._colours else []
        for value in values:
            if value < len(palette) and palette[value] != self._colours[value]:
                has, wanted = hex_of(palette[value]), hex_of(self._colours[value])
                told = f"paints {value} as {has}, but labelmap.txt has {wanted} in that place"
                raise bad(path, "", told, "take the colours with --from color, or name the numbers with --classes")


def indices(path: Path) -> UInt8:
    """The numbers of a mask, uint8, shape (H, W); those of a palette without its colours.

    Raises:
        DataError: It is no whole PNG with a palette, nor a mask that edgeseg reads.
    """
    data = path.read_bytes()
    try:
        content = container.look(data)
    except container.DamagedError as error:
        raise bad(path, "", f"the mask is {error.found}", "copy or export it again") from error
    if content.container != "PNG" or content.palette is None:
        return read_stored_mask(path)
    if content.orientation != 1:
        raise bad(path, "", "a mask with an orientation tag", "turn its pixels and drop the tag")
    # A PNG that says of itself that its numbers are gray levels is decoded to these very numbers.
    plain = _without_palette(data)
    mask = cv2.imdecode(np.frombuffer(plain, np.uint8), cv2.IMREAD_UNCHANGED)
    if mask is None or mask.ndim != 2:
        raise bad(path, "", "not a readable PNG", "export it again")
    # Levels of fewer bits are spread over 0 to 255.
    step = 255 // ((1 << content.bits) - 1)
    return np.asarray(mask // step, np.uint8)


def _without_palette(data: bytes) -> bytes:
    head = bytearray(data[:33])
    head[_TYPE] = 0
    head[_CHECK : _CHECK + 4] = struct.pack(">I", zlib.crc32(head[12:_CHECK]))
    kept, position = [bytes(head)], 33
    while position < len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        if kind not in (b"PLTE", b"tRNS", b"bKGD", b"hIST", b"sBIT"):
            kept.append(data[position : position + 12 + length])
        position += 12 + length
        if kind == b"IEND":
            break
    return b"".join(kept)


def _palette(data: bytes) -> list[Colour]:
    """The colours of a PNG's palette; empty where it has none."""
    position = 8
    while data.startswith(container.png.SIGNATURE) and position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        if kind == b"PLTE":
            chunk = data[position + 8 : position + 8 + length]
            return list(zip(chunk[0::3], chunk[1::3], chunk[2::3], strict=False))
        position += 12 + length
    return []
