"""Folds: whole groups, equal sizes, every image tested once, and each a data set that the chain can open."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import cv2
import pytest

from edgeseg.pipeline.crossval.folds import divide, join_copies, make_folds, write_fold
from edgeseg.runtime.data.check import check_dataset
from edgeseg.runtime.data.dataset import content_hash, open_dataset, split_hash
from edgeseg.runtime.errors import ConfigError


def images(n: int, per_group: int) -> tuple[dict[str, str], dict[str, list[int]]]:
    """Groups of equal size; class 1 in every image, class 2 in every fifth, none in the first ten."""
    stems = [f"{index:03}" for index in range(n)]
    groups = {stem: f"g{index // per_group}" for index, stem in enumerate(stems)}
    classes = {stem: [] if index < 10 else [1, 2] if index % 5 == 0 else [1] for index, stem in enumerate(stems)}
    return groups, classes


@pytest.mark.parametrize(("n", "per_group", "n_folds"), [(244, 1, 5), (100, 4, 5), (30, 1, 3), (7, 1, 7), (60, 3, 10)])
def test_folds_are_even_and_never_part_a_group(n: int, per_group: int, n_folds: int) -> None:
    groups, classes = images(n, per_group)
    folds = make_folds(groups, classes, n_folds, seed=0)
    sizes = Counter(folds)
    assert set(sizes) == set(range(n_folds)) and max(sizes.values()) - min(sizes.values()) <= per_group
    fold_of = dict(zip(sorted(groups), folds, strict=True))
    assert all(len({fold_of[stem] for stem in groups if groups[stem] == group}) == 1 for group in set(groups.values()))


def test_classes_are_spread_over_the_folds() -> None:
    groups, classes = images(244, 1)
    folds = make_folds(groups, classes, 5, seed=0)
    rare = Counter(fold for stem, fold in zip(sorted(groups), folds, strict=True) if 2 in classes[stem])
    assert max(rare.values()) - min(rare.values()) <= 2


def test_a_seed_draws_the_folds() -> None:
    groups, classes = images(50, 1)
    first = make_folds(groups, classes, 5, seed=0)
    assert first == make_folds(groups, classes, 5, seed=0) != make_folds(groups, classes, 5, seed=1)


def test_a_large_group_takes_a_fold_of_its_own() -> None:
    groups = {f"big{index}": "big" for index in range(20)} | {f"s{index}": f"s{index}" for index in range(10)}
    sizes = Counter(make_folds(groups, {stem: [1] for stem in groups}, 3, seed=0))
    assert sorted(sizes.values()) == [5, 5, 20]


@pytest.mark.parametrize(
    ("n_folds", "words"), [(1, "use 3 or more"), (2, "use 3 or more"), (6, "10 images in 5 groups .* use 5 or fewer")]
)
def test_folds_that_cannot_be_made_are_refused(n_folds: int, words: str) -> None:
    groups, classes = images(10, 2)
    with pytest.raises(ConfigError, match=words):
        make_folds(groups, classes, n_folds, seed=0)


def test_every_image_is_tested_once_and_the_next_fold_is_val(synthetic_data) -> None:
    splits = divide(synthetic_data, 4, seed=0)
    tested = [stem for split in splits for stem, name in split.items() if name == "test"]
    assert sorted(tested) == [sample.stem for sample in synthetic_data.samples]
    for split, after in zip(splits, [*splits[1:], splits[0]], strict=True):
        assert {stem for stem, name in split.items() if name == "val"} == {
            stem for stem, name in after.items() if name == "test"
        }
        assert set(split.values()) == {"train", "val", "test"}


def test_a_fold_is_a_data_set_whose_split_wins(synthetic_dir: Path, tmp_path: Path) -> None:
    root = tmp_path / "with a split"
    shutil.copytree(synthetic_dir, root)
    plain = open_dataset(root)
    rows = [f"{sample.stem},train,{sample.group},left" for sample in plain.samples]
    (root / "meta.csv").write_text("\n".join(["stem,split,group,side", *rows]))
    data = open_dataset(root)
    split = divide(data, 3, seed=0)[1]
    for _ in range(2):  # a second pass finds its links there
        fold = open_dataset(write_fold(tmp_path / "fold_1" / "data", data, split))
    assert {sample.stem: sample.split for sample in fold.samples} == split
    assert [sample.group for sample in fold.samples] == [sample.group for sample in data.samples]
    assert fold.samples[0].columns == {"side": "left"} and fold.name == data.name
    assert content_hash(fold) == content_hash(data) and split_hash(fold) != split_hash(data)
    assert {sample.split for sample in open_dataset(root).samples} == {"train"}, "the data folder is not written to"
    assert not [fault for fault in check_dataset(fold.root) if fault.kind != "no positives"]


def test_copies_of_a_picture_share_a_fold(synthetic_dir: Path, tmp_path: Path) -> None:
    root = tmp_path / "metal"
    shutil.copytree(synthetic_dir, root)
    (root / "meta.csv").unlink(missing_ok=True)
    stems = [sample.stem for sample in open_dataset(root).samples]
    shutil.copy(root / "images" / f"{stems[9]}.png", root / "images" / f"{stems[5]}.png")
    (root / "images" / f"{stems[20]}.png").unlink()
    cv2.imwrite(str(root / "images" / f"{stems[20]}.bmp"), cv2.imread(str(root / "images" / f"{stems[9]}.png"), 0))
    data = join_copies(open_dataset(root))
    assert {one.stem for one in data.samples if one.group == stems[5]} == {stems[5], stems[9], stems[20]}
    assert len({one.group for one in data.samples}) == len(stems) - 2
    for split in divide(data, 3, seed=0):
        assert split[stems[5]] == split[stems[9]] == split[stems[20]]
