"""A folder of calibration images serves every fold, and holds none that a fold tests."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgeseg.compress.calibration.folder import recipe_folder, unlabelled_folder
from edgeseg.pipeline.commands.crossval import carry_out_crossval
from edgeseg.pipeline.crossval.fold import FoldResult, FoldRun
from edgeseg.pipeline.crossval.order import CrossvalOrder
from edgeseg.pipeline.recipe.recipe import Recipe
from edgeseg.runtime.data.dataset import open_dataset
from edgeseg.runtime.errors import ConfigError

BUDGET = "latency_ms=100"


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text("name: tiny\ndata: {name: synthetic}\ngeometry: {mode: resize, height_px: 64, width_px: 64}\n")
    return path


@pytest.fixture
def metal(tmp_path: Path) -> Path:
    """A data set with images to calibrate on beside it."""
    from edgeseg.train.synthetic.dataset import write_dataset

    for name, seed in (("metal", 0), ("line", 7)):
        write_dataset(tmp_path / "data" / name, n=12, seed=seed, size_px=64)
    return tmp_path / "data" / "metal"


def order(recipe_file: Path, data: Path, out: Path, folder: str) -> CrossvalOrder:
    settings = (f"quantize.folder={folder}",)
    return CrossvalOrder(str(recipe_file), "x86-ort", BUDGET, data, out, settings, folds=3)


def test_every_fold_finds_the_recipes_calibration_folder(
    recipe_file: Path, metal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgeseg.pipeline.crossval import fold as crossval_fold

    found = []

    def fake(recipe: Recipe, shared: Path) -> FoldRun:
        def run(root: Path, progress: Any) -> FoldResult:
            found.append(recipe_folder(open_dataset(root / "data"), recipe.quantize.folder))
            return FoldResult({"status": "budget not met", "reason": "too slow"}, None)

        return run

    monkeypatch.setattr(crossval_fold, "fold_run", fake)
    for given in ("../line/images", str(metal.parent / "line" / "images")):
        carry_out_crossval(order(recipe_file, metal, tmp_path / "runs", given), as_json=True)
    assert len({folder.sha256 for folder in found if folder is not None}) == 1 and len(found) == 6 and None not in found


def test_every_fold_finds_the_images_without_masks(
    recipe_file: Path, metal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgeseg.pipeline.crossval import fold as crossval_fold

    found = []

    def fake(recipe: Recipe, shared: Path) -> FoldRun:
        def run(root: Path, progress: Any) -> FoldResult:
            found.append(unlabelled_folder(open_dataset(root / "data"), recipe.distill.unlabelled))
            return FoldResult({"status": "budget not met", "reason": "too slow"}, None)

        return run

    monkeypatch.setattr(crossval_fold, "fold_run", fake)
    asked = order(recipe_file, metal, tmp_path / "runs", "../line/images")
    asked = replace(asked, assignments=("distill.unlabelled=../line/images",))
    carry_out_crossval(asked, as_json=True)
    assert len({folder.sha256 for folder in found if folder is not None}) == 1 and len(found) == 3 and None not in found
    trained = open_dataset(metal, split_file=tmp_path / "split.csv").split("train")
    shutil.copy(trained[0].image, metal.parent / "line" / "images")
    with pytest.raises(ConfigError, match=r"distill\.unlabelled is .* 1 of its \d+ images are scored on"):
        carry_out_crossval(replace(asked, out=tmp_path / "again"), as_json=True)


def test_images_that_some_fold_tests_are_refused_before_the_first(
    recipe_file: Path, metal: Path, tmp_path: Path
) -> None:
    trained = open_dataset(metal, split_file=tmp_path / "split.csv").split("train")
    for sample in trained[:8]:
        shutil.copy(sample.image, metal.parent / "line" / "images")
    with pytest.raises(ConfigError, match=r"8 of its \d+ images are scored on"):
        carry_out_crossval(order(recipe_file, metal, tmp_path / "runs", "../line/images"), as_json=True)
    assert not (tmp_path / "runs" / "tiny" / "crossval").exists()
