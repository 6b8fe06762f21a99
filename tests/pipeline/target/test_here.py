"""This machine as the target of a search: what no training can help is refused, and pairs are timed in turns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from edgeseg.benchmarks.targets.address import Address
from edgeseg.benchmarks.targets.target import Wishes
from edgeseg.compress.search.budget import Budget
from edgeseg.pipeline.chain.chain import no_progress
from edgeseg.pipeline.plan.beside import There
from edgeseg.pipeline.plan.run import make_chain, run_chain
from edgeseg.pipeline.recipe.recipe import Recipe, load_recipe
from edgeseg.pipeline.target import machine
from edgeseg.pipeline.target.elsewhere import Elsewhere
from edgeseg.pipeline.target.here import beside_student, local_target, reference_and_student_ms
from edgeseg.runtime.errors import ConfigError, MeasureError
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch
from edgeseg.train.models.unet import unet_arch
from edgeseg.train.synthetic.dataset import write_dataset

RECIPE = """\
name: tiny
data: {name: synthetic, synthetic_images: 24, synthetic_px: 64}
geometry: {mode: resize, height_px: 64, width_px: 64}
quantize: {images: 8, method: minmax}
bench: {processes: 1, blocks: 1, seconds: 0.05, min_samples: 3, warmup_cap_s: 0.2, threads: 1}
"""
FAST = Budget("x86-ort", latency_ms=5)


def recipe_of(root: Path, *assignments: str) -> Recipe:
    (root / "recipe.yaml").write_text(RECIPE)
    return load_recipe(root / "recipe.yaml", assignments)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["x86-ort", "x86-litert"])
def test_a_student_is_timed_beside_the_reference_and_scored_on_val(tmp_path: Path, engine: str, synthetic_data) -> None:
    torch.manual_seed(0)
    n_classes = len(synthetic_data.classes)
    student = build_model(efficient_unet_arch(1, n_classes, width=0.25, depth=0.5, stages=4)).eval()
    reference = build_model(unet_arch(1, n_classes, base=4, depth=3)).eval()
    target = local_target(recipe_of(tmp_path), synthetic_data, Budget(engine, speedup=2), 16, tmp_path / "scratch")
    pair = reference_and_student_ms(target, reference, student)
    found = beside_student(target, student, pair["student_ms"]).probe.measure(student)
    assert pair["reference_ms"] > 0 and found.pace is not None and found.pace > 0
    assert target.probe.size(student) == found.bytes
    assert [score.stem for score in target.score("any", student)] == [one.stem for one in synthetic_data.split("val")]
    assert not list((tmp_path / "scratch" / "any").iterdir())  # written again when it ships


def test_a_reference_that_does_not_run_here_is_told_with_a_way_out(tmp_path: Path, synthetic_data) -> None:
    target = local_target(recipe_of(tmp_path), synthetic_data, FAST, 16, tmp_path)
    rgb, gray = (build_model(unet_arch(channels, 3, base=4, depth=2)).eval() for channels in (3, 1))
    with pytest.raises(ConfigError, match=r"3 input channels.*give latency_ms instead"):
        reference_and_student_ms(target, rgb, gray)


def test_it_is_calibrated_on_the_recipes_own_images(tmp_path: Path, synthetic_data) -> None:
    write_dataset(tmp_path / "own", n=9, seed=5, size_px=96)
    recipe = recipe_of(tmp_path, f"quantize.folder={tmp_path / 'own/images'}")
    target = local_target(recipe, synthetic_data, FAST, 16, tmp_path)
    assert target.calibration_sha256 and len(target.probe.calibration) == 8
    with pytest.raises(ConfigError, match="there is no folder"):
        local_target(recipe_of(tmp_path, "quantize.folder=none"), synthetic_data, FAST, 16, tmp_path)


def test_what_is_counted_needs_no_certain_machine(tmp_path: Path, synthetic_data, monkeypatch) -> None:
    monkeypatch.setattr(machine, "target_name", lambda engine: f"arm64-{engine}")
    counted = Budget("x86-ort", macs_ratio=0.5)
    assert not local_target(recipe_of(tmp_path), synthetic_data, counted, 16, tmp_path).probe.timed
    with pytest.raises(MeasureError, match="target x86-ort is another machine"):
        local_target(recipe_of(tmp_path), synthetic_data, FAST, 16, tmp_path)


def test_no_budget_of_a_frame_is_held_by_the_time_of_one_tile(tmp_path: Path, synthetic_data) -> None:
    tiled = recipe_of(tmp_path, "geometry={mode: tile, tile_px: 32, overlap_px: 16}")
    told = {"device": {"arch": "x86_64"}, "engine": "any", "evidence": "device", "meter": None, "sensor": None}
    there = Elsewhere(Address("away", "adb"), Wishes(), told)
    with pytest.raises(ConfigError, match=r"times one tile, not a frame.*use resize, or a device behind ssh"):
        local_target(tiled, synthetic_data, FAST, 16, tmp_path, there)
    assert local_target(recipe_of(tmp_path), synthetic_data, FAST, 16, tmp_path, there).calls == 1
    assert local_target(tiled, synthetic_data, FAST, 16, tmp_path).calls > 1


@pytest.mark.parametrize(
    ("budget", "change", "words"),
    [
        ("energy_mj: 5", None, "energy_mj cannot be held here: this machine has no pi5-pmic"),
        ("latency_ms: 5", "geometry={mode: native}", "needs frames of one size; use resize or tile"),
        ("latency_ms: 5", "data.synthetic_images=6", "calibration needs at least 8 images"),
    ],
)
def test_what_no_training_can_help_is_refused_before_any(
    tmp_path: Path, budget: str, change: str | None, words: str
) -> None:
    settings = [f"budget={{target: x86-ort, {budget}}}", *([change] if change else [])]
    chain = make_chain(recipe_of(tmp_path, *settings), None, tmp_path, there=There(meter="pi5-pmic"))
    with pytest.raises(ConfigError, match=words):
        run_chain(chain, no_progress)
    assert {path.name for path in tmp_path.glob("tiny/steps/*")} == {"reference", "target"}


def test_what_a_ratio_refers_to_is_timed_before_any_training(tmp_path: Path) -> None:
    chain = make_chain(
        recipe_of(tmp_path, "budget={target: x86-ort, speedup: 2}", "reference={base: 4, depth: 3}"), None, tmp_path
    )
    run_chain(chain, no_progress, only="target")
    assert {path.name for path in tmp_path.glob("tiny/steps/*")} == {"reference", "target"}
    found = json.loads((tmp_path / "tiny/steps/target/done.json").read_text())
    assert found["result"]["reference_ms"] > 0
