"""The most frequent mask of train, scored on val."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.pipeline.learned.constant_mask import constant_mask_dice
from edgeseg.runtime.data.dataset import DataSet, open_dataset


def data(root: Path, masks: list[np.ndarray], val_from: int, about: str = "classes: [background, a, b]") -> DataSet:
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    rows = ["stem,split"]
    for index, mask in enumerate(masks):
        noise = np.random.default_rng(index).integers(0, 256, mask.shape, dtype=np.uint8)
        cv2.imwrite(str(root / "images" / f"{index}.png"), noise)
        cv2.imwrite(str(root / "masks" / f"{index}.png"), mask)
        rows.append(f"{index},{'val' if index >= val_from else 'train'}")
    (root / "meta.csv").write_text("\n".join(rows) + "\n")
    (root / "dataset.yaml").write_text(f"name: d\n{about}\ncolor: gray\n")
    return open_dataset(root)


def disc(x: float, y: float, size: tuple[int, int] = (96, 64), class_id: int = 1) -> np.ndarray:
    mask = np.zeros(size, np.uint8)
    cv2.circle(mask, (round(x * size[1]), round(y * size[0])), size[1] // 4, class_id, -1)
    return mask


def test_objects_in_one_place_need_no_network(tmp_path: Path) -> None:
    same = [disc(0.5, 0.5, size) for size in ((96, 64), (192, 128), (96, 64), (96, 64))]  # frames of two sizes
    assert constant_mask_dice(data(tmp_path, same, 2)) == pytest.approx(1.0, abs=0.03)


def test_objects_all_over_the_frame_do(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    masks = [disc(*rng.uniform(0.2, 0.8, 2)) for _ in range(12)]
    found = constant_mask_dice(data(tmp_path, masks, 8))
    assert found is not None and found < 0.5


@pytest.mark.parametrize("classes", ["[background, a]", "[background, a, b]"])
def test_ignored_pixels_have_no_vote_and_are_not_scored(tmp_path: Path, classes: str) -> None:
    """Everything beside the object is ignored, and half of it in val: read as foreground it would be one in train."""
    train, val = disc(0.5, 0.5), disc(0.5, 0.5)
    train[:, :8] = val[:, :4] = 255
    about = f"classes: {classes}\nignore: 255"
    assert constant_mask_dice(data(tmp_path, [train, train, val], 2, about)) == pytest.approx(1.0)


def test_nothing_to_compare_with(tmp_path: Path) -> None:
    empty = np.zeros((16, 16), np.uint8)
    assert constant_mask_dice(data(tmp_path / "empty", [empty, empty], 1)) is None
