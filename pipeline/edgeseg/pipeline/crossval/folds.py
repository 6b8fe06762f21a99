"""Dividing a data set into folds, each of them a data set of its own: all images, with this fold's split.

Fold k is test, the next one (cyclic) is val, the others are train. So every image is tested once and none trains a
network that it tests.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgeseg.pipeline.recipe.linked_folder import link
from edgeseg.runtime.data.dataset import DataSet, read_image
from edgeseg.runtime.data.ignored import IGNORED
from edgeseg.runtime.data.imagefile import present_values
from edgeseg.runtime.data.pixel_hash import pixel_hash
from edgeseg.runtime.data.splits import draw_key
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.files.atomic import write_bytes
from edgeseg.runtime.text.names import name_bytes

# One fold is test and one is val; without a third there is nothing to train on.
LEAST_FOLDS = 3


def make_folds(groups: Mapping[str, str], classes: Mapping[str, Iterable[int]], n_folds: int, seed: int) -> list[int]:
    """Assign every stem to a fold, whole groups at a time, of equal size and with equal shares of each class.

    Groups are taken from large to small (equal ones in an order drawn by `seed`), each into a fold with room left;
    of those into the one that it makes least uneven, over images and over images that hold each class.

    Args:
        groups: Stem to group.
        classes: Stem to the foreground class ids in its mask.
        n_folds: 3 or more.
        seed: Draws the order of groups of equal size.

    Returns:
        The fold of each stem, from 0, in the order of sorted stems.

    Raises:
        ConfigError: If there are too few folds, or fewer groups than folds.
    """
    stems = sorted(groups)
    names = sorted(set(groups.values()))
    _check(n_folds, len(names), len(stems))
    counts = _counts(stems, groups, classes, names)  # (G, 1 + classes that occur)
    order = sorted(range(len(names)), key=lambda index: (-counts[index, 0], draw_key(names[index], seed)))
    room = -(-len(stems) // n_folds)
    load = np.zeros((n_folds, counts.shape[1]))
    fold_of = {}
    for index in order:
        added = load + counts[index]
        uneven = ((added**2 - load**2) / counts.sum(axis=0) ** 2).sum(axis=1)
        fits = added[:, 0] <= room
        fold = int(np.argmin(np.where(fits, uneven, np.inf) if fits.any() else uneven))
        fold_of[names[index]] = fold
        load[fold] += counts[index]
    return [fold_of[groups[stem]] for stem in stems]


def fold_split(stems: Sequence[str], folds: Sequence[int], test: int, n_folds: int) -> dict[str, str]:
    """Stem to `train`, `val` or `test`, where fold `test` is tested."""
    role = {test: "test", (test + 1) % n_folds: "val"}
    return {stem: role.get(fold, "train") for stem, fold in zip(stems, folds, strict=True)}


def join_copies(data: DataSet) -> DataSet:
    """Make one group of groups that hold the same picture: a copy must not train the network that it tests.

    Pictures are told by their pixels: saved again, one is another file.

    Returns:
        The same samples; a joined group has the name of its first one in order.

    Raises:
        DataError: If an image cannot be read.
    """
    joined = {sample.group: sample.group for sample in data.samples}

    def name(group: str) -> str:
        while joined[group] != group:
            group = joined[group]
        return group

    first: dict[str, str] = {}
    for sample in data.samples:
        shown = pixel_hash(read_image(sample.image, data.color, sample.window))
        pair = name(sample.group), name(first.setdefault(shown, sample.group))
        joined[max(pair)] = min(pair)
    return replace(data, samples=tuple(replace(sample, group=name(sample.group)) for sample in data.samples))


def divide(data: DataSet, n_folds: int, seed: int) -> list[dict[str, str]]:
    """The split of each fold of a data set; its own split plays no part.

    Raises:
        ConfigError: If there are too few folds, or fewer groups than folds.
        DataError: If a mask cannot be read.
    """
    groups = {sample.stem: sample.group for sample in data.samples}
    _check(n_folds, len(set(groups.values())), len(groups))
    present = {one.stem: present_values(one.read_truth(len(data.classes))) for one in data.samples}
    classes = {stem: [one for one in found if one not in (0, IGNORED)] for stem, found in present.items()}
    folds = make_folds(groups, classes, n_folds, seed)
    return [fold_split(sorted(groups), folds, test, n_folds) for test in range(n_folds)]


def write_fold(folder: Path, data: DataSet, split: Mapping[str, str]) -> Path:
    """Make a data set of a fold: links to images and masks, and a meta.csv with the fold's split.

    The chain, `edgeseg data check` and `edgeseg evaluate` take it as any other data set.

    Args:
        folder: Made where missing; links and files of before are replaced.
        data: The whole data set.
        split: From `divide`.

    Returns:
        `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("images", "masks"):
        link(folder / name, data.root / name)
    write_bytes(folder / "dataset.yaml", (data.root / "dataset.yaml").read_bytes())
    columns = list(data.samples[0].columns)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("stem", "split", "group", *columns))
    for one in data.samples:
        writer.writerow((one.stem, split[one.stem], one.group, *(one.columns[column] for column in columns)))
    write_bytes(folder / "meta.csv", name_bytes(text.getvalue()))
    return folder


def check_count(n_folds: int) -> None:
    """Refuse fewer folds than a split has parts.

    Raises:
        ConfigError: If there are too few.
    """
    if n_folds < LEAST_FOLDS:
        raise ConfigError(
            f"--folds is {n_folds}; use {LEAST_FOLDS} or more, for one fold is tested, one is val, and the rest train"
        )


def _check(n_folds: int, n_groups: int, n_images: int) -> None:
    check_count(n_folds)
    if n_folds > n_groups:
        raise ConfigError(
            f"--folds is {n_folds}, but {n_images} images in {n_groups} groups (never split) are there; "
            f"use {n_groups} or fewer"
        )


def _counts(
    stems: Sequence[str], groups: Mapping[str, str], classes: Mapping[str, Iterable[int]], names: Sequence[str]
) -> np.ndarray:
    """Images of each group, and of those the ones that hold each class which occurs at all; float64 (G, 1 + C)."""
    row = {name: index for index, name in enumerate(names)}
    column = {one: index for index, one in enumerate(sorted({one for found in classes.values() for one in found}), 1)}
    counts = np.zeros((len(names), 1 + len(column)))
    for stem in stems:
        counts[row[groups[stem]], [0, *(column[one] for one in classes[stem])]] += 1
    return counts
