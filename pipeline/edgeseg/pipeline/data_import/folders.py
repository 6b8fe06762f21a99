"""Pictures and their masks as files: images/ beside masks/, or JPEGImages/ beside SegmentationClass/ (Pascal VOC)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edgeseg.pipeline.data_import.paths import Tree, folder_split
from edgeseg.pipeline.data_import.source import Item, Size, Tally, UInt8, bad
from edgeseg.runtime.container import DamagedError, look
from edgeseg.runtime.data.imagefile import MASK_SUFFIXES
from edgeseg.runtime.data.splits import SPLITS
from edgeseg.runtime.errors import DataError
from edgeseg.runtime.text.textfile import read_text

_IMAGES = ("images", "jpegimages")
_MASKS = ("masks", "segmentationclass", "labels", "annotations")
_LISTS = ("ImageSets", "Segmentation")


@dataclass(frozen=True)
class Pair:
    """A picture and its mask.

    Attributes:
        name: The picture's path in the source.
        image: The picture.
        mask: Its mask, or None.
        split: The list, or the folder, that it is in.
    """

    name: str
    image: Path
    mask: Path | None
    split: str | None


def pairs(tree: Tree, tally: Tally) -> list[Pair]:
    """Pairs pictures and masks by their path without suffix.

    Raises:
        DataError: There are no two such folders, or several of a kind side by side, or no picture in them has a mask.
    """
    found: list[Pair] = []
    roots: dict[Path, dict[str, set[Path]]] = {}
    for path in tree.pictures():
        for folder in list(path.parents)[: len(path.relative_to(tree.root).parts)]:
            kind = _kind(folder.name)
            if folder != tree.root and kind:
                roots.setdefault(folder.parent, {}).setdefault(kind, set()).add(folder)
                break
    for root, both in sorted(roots.items()):
        if len(both) == 2:
            images, masks = (_only(tree, kind, both[kind]) for kind in ("images", "masks"))
            found += _paired(tree, root, images, masks, tally)
    if not any(pair.mask for pair in found):
        remedy = "images/ and masks/, or JPEGImages/ and SegmentationClass/, need files of equal names"
        left = [f"{reason}: {examples[0]}" for reason, examples in tally.not_taken.items()]
        seen = f" ({'; '.join([*left, *(f'image: {pair.name}' for pair in found[:1])])})" if found or left else ""
        raise DataError(f"{tree.root}: no picture with a mask found{seen}; {remedy}")
    return found


def items(found: list[Pair], read: Callable[[Path], UInt8]) -> list[Item]:
    """Pictures whose masks are read when their turn comes."""
    return [
        Item(one.name, one.image, split=one.split, annotated=False)
        if one.mask is None
        else Item(one.name, one.image, (), _reader(read, one.mask), size_of(one.mask), one.split)
        for one in found
    ]


def size_of(path: Path) -> Size:
    """(height, width) of a mask, from its header.

    Raises:
        DataError: It is no picture.
    """
    try:
        return look(path.read_bytes()).size_px
    except DamagedError as error:
        raise bad(path, "", f"the mask is {error.found}", "copy or export it again") from error
    except (OSError, IndexError) as error:
        raise bad(path, "", "the mask cannot be read", "copy or export it again") from error


def _reader(read: Callable[[Path], UInt8], mask: Path) -> Callable[[], UInt8]:
    return lambda: read(mask)


def _kind(name: str) -> str | None:
    plain = name.casefold()
    return "images" if plain in _IMAGES else "masks" if plain in _MASKS else None


def _only(tree: Tree, kind: str, folders: set[Path]) -> Path:
    if len(folders) > 1:
        listed = ", ".join(sorted(map(tree.name, folders)))
        raise DataError(f"{tree.root}: several folders of {kind} side by side ({listed}); leave the one that is meant")
    return next(iter(folders))


def _paired(tree: Tree, root: Path, images: Path, masks: Path, tally: Tally) -> list[Pair]:
    of_stem: dict[str, Path] = {}
    for path in tree.files(*MASK_SUFFIXES, ".jpg", ".jpeg"):
        if path.is_relative_to(masks):
            stem = path.relative_to(masks).with_suffix("").as_posix()
            if stem in of_stem:
                raise bad(path, "", f"another mask of this name: {tree.name(of_stem[stem])}", "keep one of them")
            of_stem[stem] = path
    lists = _lists(root)
    paired, used = [], set()
    for image in tree.pictures():
        if not image.is_relative_to(images):
            continue
        stem, name = image.relative_to(images).with_suffix("").as_posix(), tree.name(image)
        used.add(stem)
        if lists and stem not in lists:
            tally.skip("images that no list in ImageSets/Segmentation names", name)
            continue
        paired.append(Pair(name, image, of_stem.get(stem), lists[stem] if lists else folder_split(name)))
    for stem in of_stem.keys() - used:
        tally.skip("masks without an image of the same name", tree.name(of_stem[stem]))
    for stem in sorted(lists.keys() - used):
        tally.skip("images missing that a list in ImageSets/Segmentation names", stem)
    return paired


def _lists(root: Path) -> dict[str, str | None]:
    """Stem to split from train.txt, val.txt and test.txt; other lists (trainval.txt, default.txt) have no split."""
    found: dict[str, str | None] = {}
    folder = root.joinpath(*_LISTS)
    known = [folder / f"{split}.txt" for split in SPLITS]
    others = sorted(path for path in folder.glob("*.txt") if path not in known) if folder.is_dir() else []
    for path in (*known, *others):
        if path.is_file():
            for line in filter(None, map(str.strip, read_text(path).splitlines())):
                stem = PurePosixPath(line).as_posix()
                found.setdefault(stem, path.stem if path in known else None)
    return found
