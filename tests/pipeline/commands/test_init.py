"""`edgeseg init`: what it sees in a folder, what it writes, and that the chain takes it."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.pipeline.commands.init import init_folder
from edgeseg.pipeline.recipe.recipe import Recipe, load_recipe
from edgeseg.runtime.data.check import check_dataset
from edgeseg.runtime.data.dataset import open_dataset
from edgeseg.runtime.errors import ConfigError, DataError


def write_folder(
    root: Path,
    *,
    size: tuple[int, int] = (96, 128),
    side: int = 24,
    values: tuple[int, ...] = (0, 1),
    colour: bool = False,
    n: int = 6,
) -> Path:
    """Gray or coloured noise; each mask has one square of every value but the first."""
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for index in range(n):
        image = rng.integers(0, 256, (*size, 3) if colour else size, dtype=np.uint8)
        mask = np.full(size, values[0], np.uint8)
        for k, value in enumerate(values[1:]):
            mask[4 : 4 + side, 4 + k * (side + 2) : 4 + k * (side + 2) + side] = value
        cv2.imwrite(str(root / "images" / f"{index:02d}.png"), image)
        cv2.imwrite(str(root / "masks" / f"{index:02d}.png"), mask)
    return root


def recipe_of(root: Path) -> Recipe:
    return load_recipe(root / "recipe.yaml")


def test_what_it_writes_is_taken_by_the_reader_the_check_and_the_chain(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "my parts.v2", values=(0, 255))
    told: list[tuple[int, int]] = []
    report = init_folder(root, lambda *what: told.append(what))
    assert told[-1] == (6, 6)
    assert report["wrote"] == [str(root / "dataset.yaml"), str(root / "recipe.yaml")]
    assert report["found"] == {
        **{"images": 6, "negative": 0, "color": "gray", "classes": ["background", "foreground"]},
        **{"sizes": ["128x96 (6)"], "splits": {}, "columns": [], "small_region": 0.1875},
    }
    assert check_dataset(root) == []
    assert open_dataset(root).name == "my_parts_v2" == recipe_of(root).name
    assert recipe_of(root).binary_output and recipe_of(root).train.loss.terms == "bce+dice"
    assert report["next"][1] == f"edgeseg run '{root / 'recipe.yaml'}' --data '{root}'"


def test_more_classes_in_colour(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "d", values=(0, 1, 3), colour=True)
    init_folder(root)
    data = open_dataset(root)
    assert data.classes == ("background", "class_1", "class_2", "class_3") and data.color == "rgb"
    assert not recipe_of(root).binary_output and recipe_of(root).train.loss.terms == "ce+dice"


def test_small_frames_keep_their_size_rounded_to_the_stride(tmp_path: Path) -> None:
    init_folder(write_folder(tmp_path / "d", size=(100, 230)))
    geometry = recipe_of(tmp_path / "d").geometry
    assert (geometry.mode, geometry.height_px, geometry.width_px) == ("resize", 96, 224)


def test_large_frames_with_large_regions_are_scaled(tmp_path: Path) -> None:
    init_folder(write_folder(tmp_path / "d", size=(512, 1024), side=64))
    geometry = recipe_of(tmp_path / "d").geometry
    assert (geometry.mode, geometry.height_px, geometry.width_px) == ("resize", 128, 256)
    assert geometry.interpolation == "area"


def test_large_frames_with_small_regions_are_tiled(tmp_path: Path) -> None:
    report = init_folder(write_folder(tmp_path / "d", size=(512, 1024), side=16))
    recipe = recipe_of(tmp_path / "d")
    assert (recipe.geometry.mode, recipe.geometry.tile_px, recipe.geometry.overlap_px) == ("tile", 256, 32)
    assert recipe.train.samples_per_epoch >= 160
    assert "a side of 4.0 px only" in report["chosen"]["reason"]


def test_a_description_is_kept_and_believed(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "d")
    description = "name: nerves\nclasses: [background, nerve]\ncolor: gray\nlicence: CC0\n"
    (root / "dataset.yaml").write_text(description)
    report = init_folder(root)
    assert report["kept"] == [str(root / "dataset.yaml")]
    assert (root / "dataset.yaml").read_text() == description
    assert recipe_of(root).name == "nerves" and report["found"]["classes"] == ["background", "nerve"]


def test_every_line_that_is_left_out_can_be_put_in(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "d")
    init_folder(root)
    text, written = (root / "recipe.yaml").read_text(), recipe_of(root)
    keys = re.findall(r"^  # (\w+: )", text, re.MULTILINE)
    assert "output_stride: " in keys and len(keys) > 4
    for key in keys:
        (root / "recipe.yaml").write_text(text.replace(f"  # {key}", f"  {key}"))
        assert recipe_of(root) != written, key


def test_a_recipe_is_never_overwritten(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "d")
    (root / "recipe.yaml").write_text("mine")
    with pytest.raises(ConfigError, match="not overwritten"):
        init_folder(root)
    assert (root / "recipe.yaml").read_text() == "mine" and not (root / "dataset.yaml").exists()


def test_splits_and_columns_are_told(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "d")
    splits = ("train", "train", "train", "val", "test", "test")
    rows = [f"{index:02d},{split},bench{index % 2}" for index, split in enumerate(splits)]
    (root / "meta.csv").write_text("\n".join(["stem,split,camera", *rows]))
    found = init_folder(root)["found"]
    assert found["splits"] == {"train": 3, "val": 1, "test": 2} and found["columns"] == ["camera"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((0, 85, 170, 255), "hold the values 0, 85, 170, 255; write class ids"),
        ((0,), "every mask holds the value 0 alone"),
        ((7,), "every mask holds the value 7 alone"),
    ],
)
def test_masks_that_are_no_class_ids(tmp_path: Path, values: tuple[int, ...], words: str) -> None:
    with pytest.raises(DataError, match=words):
        init_folder(write_folder(tmp_path / "d", values=values))
    assert not (tmp_path / "d" / "recipe.yaml").exists()


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        init_folder(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"2 fault\(s\)"):
        init_folder(tmp_path / "empty")
    root = write_folder(tmp_path / "d")
    (root / "masks" / "03.png").unlink()
    with pytest.raises(DataError, match=r"no mask 03\.png"):
        init_folder(root)
    cut = write_folder(tmp_path / "cut")
    (cut / "masks" / "00.png").write_bytes((cut / "masks" / "00.png").read_bytes()[:60])
    with pytest.raises(DataError, match="truncated"):
        init_folder(cut)


def test_16_bit_images_get_a_window_that_the_check_takes(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "deep")
    for path in (root / "images").iterdir():
        deep = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.uint16) * 10 + 500
        deep[0, 0] = 65535  # a dead pixel
        cv2.imwrite(str(path), deep)
    init_folder(root)
    window = open_dataset(root).window
    assert window is not None
    assert 500 <= window[0] < 530 and 3000 < window[1] <= 3050
    assert check_dataset(root) == []


@pytest.mark.parametrize("name", ["recipe.yaml", "dataset.yaml"])
def test_a_broken_link_is_not_replaced(tmp_path: Path, name: str) -> None:
    root = write_folder(tmp_path / "parts")
    (root / name).symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=name):
        init_folder(root)
    assert (root / name).is_symlink()
