"""What trainings start from: part of their keys by content, and made sure of before the first of them."""

from __future__ import annotations

import dataclasses
import importlib.util
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from edgeseg.pipeline.chain.chain import Chain, no_progress
from edgeseg.pipeline.plan.plan import plan_steps
from edgeseg.pipeline.plan.run import make_chain, run_chain
from edgeseg.pipeline.recipe.recipe import Recipe, load_recipe
from edgeseg.runtime.errors import ConfigError
from edgeseg.train.checkpoint import save_checkpoint
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch
from edgeseg.train.pretrained.published import PUBLISHED

from ..trained import put_networks

RECIPE = """\
name: tiny
data: {name: synthetic, synthetic_images: 12, synthetic_px: 64}
geometry: {mode: resize, height_px: 64, width_px: 64}
train: {threads: 1, precision: float32, workers: 0, batch_size: 4}
teacher: {encoder: lite0, epochs: 1}
student: {init: imagenet, width: 0.25, depth: 0.5, epochs: 1}
"""


def recipe_of(folder: Path, *assignments: str) -> Recipe:
    (folder / "recipe.yaml").write_text(RECIPE)
    return load_recipe(folder / "recipe.yaml", assignments)


def keys_of(recipe: Recipe, root: Path) -> dict[str, str]:
    return Chain(plan_steps(recipe), root, root, "data").keys()


def student(seed: int) -> Any:
    torch.manual_seed(seed)
    return build_model(efficient_unet_arch(1, 4, width=0.25, depth=0.5))


@pytest.mark.parametrize(
    ("change", "anew", "kept"),
    [
        ("student.init=none", {"student_alone", "student_distilled"}, {"teacher"}),
        ("teacher.encoder=lite2", {"teacher", "student_distilled"}, {"student_alone"}),
        ("teacher.encoder=none", {"teacher", "student_distilled"}, {"student_alone"}),
        ("student.width=1.1", {"student_alone", "student_distilled"}, {"teacher"}),
    ],
)
def test_another_start_makes_another_network(change: str, anew: set[str], kept: set[str], tmp_path: Path) -> None:
    before, after = (keys_of(recipe_of(tmp_path, *one), tmp_path) for one in ((), (change,)))
    assert {name for name in anew | kept if before[name] != after[name]} == anew


def test_published_weights_are_part_of_the_key_by_their_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = keys_of(recipe_of(tmp_path), tmp_path)
    monkeypatch.setitem(PUBLISHED, "lite0", dataclasses.replace(PUBLISHED["lite0"], sha256="0" * 64))
    after = keys_of(recipe_of(tmp_path), tmp_path)
    assert all(before[name] != after[name] for name in ("teacher", "student_alone", "student_distilled"))


@pytest.mark.parametrize("file", ["", "/model.safetensors"])
def test_a_file_is_part_of_the_key_by_its_content(file: str, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "one", student(1), {})
    shutil.copytree(tmp_path / "one", tmp_path / "moved")
    save_checkpoint(tmp_path / "other", student(2), {})
    keys = {
        name: keys_of(recipe_of(tmp_path, f"student.init={tmp_path / name}{file}"), tmp_path)["student_alone"]
        for name in ("one", "moved", "other")
    }
    assert keys["one"] == keys["moved"] != keys["other"]


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("student.init=nowhere", r"student.init: there is no nowhere; name a checkpoint's folder .* imagenet or none"),
        ("student.init=.", r"student.init: there is no model.safetensors"),
        ("student.width=1.5", r"student.width is 1.5, .* at most 1.1 wide"),
        ("teacher.encoder=resnet", r"teacher.encoder is 'resnet'; use none, lite0, lite1, lite2"),
        ("geometry.width_px=80", r"geometry is 64x80, but teacher.encoder lite0 needs multiples of 32"),
    ],
)
def test_what_is_no_start_is_told(assignment: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says):
        plan_steps(recipe_of(tmp_path, assignment))


def test_what_is_not_installed_is_told_before_any_training_and_needed_by_none_that_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *more: None if "lite0_" in name else found(name, *more)
    )
    chain = make_chain(recipe_of(tmp_path, "teacher.encoder=none"), None, tmp_path)
    with pytest.raises(ConfigError, match=r"lite0 are not installed .*edgeseg\[weights\].*student.init=none"):
        run_chain(chain, no_progress, only="teacher")
    assert not list(tmp_path.glob("tiny/steps/*"))
    networks = {name: student(0) for name in ("teacher", "student_alone", "student_distilled")}
    put_networks(chain, networks)
    assert run_chain(chain, no_progress, only="student_distilled").chain.ran == []
