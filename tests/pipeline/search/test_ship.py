"""This machine as the target of a fit: a network is scored on val, ships, and its bundle verifies."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from edgeseg.compress.search.budget import Budget
from edgeseg.pipeline.plan.plan import RANGES_VERSION
from edgeseg.pipeline.plan.run import RecipeChain, make_chain
from edgeseg.pipeline.recipe.recipe import load_recipe
from edgeseg.pipeline.search.order import FitOrder
from edgeseg.pipeline.search.run import run_fit
from edgeseg.pipeline.search.ship import Shipping
from edgeseg.pipeline.target.fit_target import beside_student, keep_known_scores, local_target, teacher_and_student_ms
from edgeseg.runtime.atomic import write_json
from edgeseg.runtime.commands import BundleChoice, evaluate
from edgeseg.runtime.data.dataset import open_dataset
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.score.evaluate import save_scores
from edgeseg.runtime.verify import verify_bundle
from edgeseg.train.checkpoint import save_checkpoint
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch
from edgeseg.train.models.unet import unet_arch
from edgeseg.train.synthetic import write_dataset

RECIPE = """\
name: tiny
data: {name: synthetic, synthetic_images: 24, synthetic_px: 64}
geometry: {mode: resize, height_px: 64, width_px: 64}
quantize: {images: 8, method: minmax}
bench: {processes: 1, blocks: 1, seconds: 0.05, min_samples: 3, warmup_cap_s: 0.2, threads: 1}
"""


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "variant"), [("x86-ort", "onnx-int8-x86"), ("x86-litert", "tflite-int8")])
def test_the_winner_ships_as_a_bundle_that_verifies(tmp_path: Path, engine: str, variant: str) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    recipe = load_recipe(tmp_path / "recipe.yaml")
    chain = make_chain(recipe, None, tmp_path)
    data = open_dataset(chain.data_root, split_file=chain.root / "split.csv", seed=recipe.data.seed)
    torch.manual_seed(0)
    n_classes = len(data.classes)
    model = build_model(efficient_unet_arch(1, n_classes, width=0.25, depth=0.5, stages=4)).eval()
    teacher = build_model(unet_arch(1, n_classes, base=4, depth=3)).eval()
    save_checkpoint(tmp_path / "winner", model, {})
    target = local_target(recipe, data, engine, 16, tmp_path / "scratch")
    pair = teacher_and_student_ms(target, teacher, model)
    assert beside_student(target, model, pair["student_ms"]).probe.measure(model).pace > 0 and pair["teacher_ms"] > 0
    scores = target.score("any", model)
    assert [score.stem for score in scores] == [sample.stem for sample in data.split("val")]
    shipping = Shipping(chain, target, teacher, tmp_path / "shipped", lambda name, share, words: None)
    found = shipping(tmp_path / "winner")
    assert found["variant"] == variant and found["latency_ms"]["total"]["p50"] > 0
    assert found["accuracy"]["val"]["n_images"] == len(scores) and found["accuracy"]["test"]["n_images"] > 0
    assert found["speedup_vs_teacher"]["ratio"] > 0 and (tmp_path / found["file"]).stat().st_size == found["bytes"]
    assert verify_bundle(tmp_path / found["bundle"], 1)["ok"]
    scored = evaluate(BundleChoice(tmp_path / found["bundle"], variant), chain.data_root, split="all")
    counts = {name: len(data.split(name)) for name in ("train", "val", "test")}
    assert scored["seen"] == counts | {"unknown_to_bundle": 0} and scored["notes"] == []
    assert scored["accuracy_unseen"]["dice_mean"] == found["accuracy"]["test"]["dice_mean"]
    for name, budget in (("teacher", 0.005), ("fp32", 0.003)):
        reference = found["references"][name]
        drop = reference["accuracy"]["test"]["dice_mean"] - found["accuracy"]["test"]["dice_mean"]
        assert reference["dice_drop"]["test"]["mean"] == pytest.approx(drop)
        assert reference["dice_drop"]["val"]["budget"] == budget


def test_a_teacher_that_does_not_run_here_is_told_with_a_way_out(tmp_path: Path, synthetic_data) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    target = local_target(load_recipe(tmp_path / "recipe.yaml"), synthetic_data, "x86-ort", 16, tmp_path)
    rgb, gray = (build_model(unet_arch(channels, 3, base=4, depth=2)).eval() for channels in (3, 1))
    with pytest.raises(ConfigError, match=r"3 input channels.*give latency_ms instead"):
        teacher_and_student_ms(target, rgb, gray)


@pytest.mark.slow
def test_what_the_chain_has_scored_is_not_scored_again(tmp_path: Path, synthetic_data) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    recipe = load_recipe(tmp_path / "recipe.yaml")
    chain = RecipeChain((), tmp_path / "run", synthetic_data.root, "data", recipe)
    target = local_target(recipe, synthetic_data, "x86-ort", 16, tmp_path / "fit" / "scratch")
    keep_known_scores(target, chain, "teacher")  # a teacher that could not be exported has no scores
    assert not target.scored.folder.exists()
    teacher = build_model(unet_arch(1, len(synthetic_data.classes), base=4, depth=3)).eval()
    own = chain.folder("teacher_onnx").files
    narrow = local_target(recipe, synthetic_data, "x86-ort", teacher.stride, tmp_path / "chain" / "scratch")
    subject = narrow.fp32.export(teacher, own)
    write_json(own / "spec.json", subject.spec.to_json())
    scores = narrow.score_file(subject.model, subject.spec, "val")
    marked = [dataclasses.replace(score, stem=f"chain {score.stem}") for score in scores]
    save_scores(chain.folder("val_teacher").files / "scores.json", marked)
    keep_known_scores(target, chain, "teacher")
    fp32 = dataclasses.replace(target, probe=target.fp32)
    assert [score.stem for score in fp32.score("teacher", teacher)] == [score.stem for score in marked]


def test_frames_of_any_size_cannot_be_searched_for(tmp_path: Path, synthetic_data) -> None:
    (tmp_path / "recipe.yaml").write_text("name: any\ndata: {name: synthetic}\ngeometry: {mode: native}\n")
    with pytest.raises(ConfigError, match="needs frames of one size; use resize or tile"):
        local_target(load_recipe(tmp_path / "recipe.yaml"), synthetic_data, "x86-ort", 16, tmp_path)


def test_a_fit_is_calibrated_on_the_recipes_own_images(tmp_path: Path, synthetic_data) -> None:
    write_dataset(tmp_path / "own", n=9, seed=5, size_px=96)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    recipe = load_recipe(tmp_path / "recipe.yaml", [f"quantize.folder={tmp_path / 'own/images'}"])
    target = local_target(recipe, synthetic_data, "x86-ort", 16, tmp_path)
    assert target.calibration_sha256 and len(target.probe.calibration) == 8
    chain = RecipeChain((), tmp_path, synthetic_data.root, "data", recipe)
    save_checkpoint(tmp_path / "winner", build_model(unet_arch(1, 4, base=4, depth=2)), {})
    shipping = Shipping(chain, target, None, tmp_path / "shipped", lambda name, share, words: None)  # type: ignore[arg-type]
    steps = {step.name: step for step in shipping._steps(tmp_path / "winner")}
    assert steps["ranges"].settings["folder_sha256"] == target.calibration_sha256
    assert steps["ranges"].version == RANGES_VERSION
    missing = load_recipe(tmp_path / "recipe.yaml", ["quantize.folder=none"])
    with pytest.raises(ConfigError, match="there is no folder"):
        local_target(missing, synthetic_data, "x86-ort", 16, tmp_path)


@pytest.mark.parametrize(
    ("budget", "change", "words"),
    [
        ("energy_mj=5", None, "energy_mj cannot be held on x86-ort: energy is not metered on this machine"),
        ("latency_ms=5", "geometry={mode: native}", "needs frames of one size; use resize or tile"),
        ("latency_ms=5", "data.synthetic_images=6", "calibration needs at least 8 images"),
    ],
)
def test_what_no_training_can_help_is_refused_before_any(
    tmp_path: Path, budget: str, change: str | None, words: str
) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    recipe = load_recipe(tmp_path / "recipe.yaml", [change] if change else [])
    order = FitOrder("recipe.yaml", "x86-ort", budget, None, tmp_path, ())
    with pytest.raises(ConfigError, match=words):
        run_fit(recipe, Budget.parse(budget, "x86-ort"), order, lambda name, share, words: None)
    assert not list(tmp_path.glob("tiny/steps/*"))


def test_what_ships_has_float_layers_of_its_own(tmp_path: Path, synthetic_data) -> None:
    """`quantize.float_paths` are of the accepted student; a cut network has other layers by the same names."""
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    recipe = load_recipe(
        tmp_path / "recipe.yaml", ["quantize.float_paths=[blocks.5.0.conv_dw]", "fit.float_paths=[head]"]
    )
    target = local_target(recipe, synthetic_data, "x86-ort", 16, tmp_path)
    chain = RecipeChain((), tmp_path, synthetic_data.root, "data", recipe)
    save_checkpoint(tmp_path / "winner", build_model(unet_arch(1, 4, base=4, depth=2)), {})
    shipping = Shipping(chain, target, None, tmp_path / "shipped", lambda name, share, words: None)  # type: ignore[arg-type]
    steps = {step.name: step for step in shipping._steps(tmp_path / "winner")}
    assert steps["onnx_int8"].settings["float_paths"] == ["head"] and shipping._recipe.quantize.float_paths == ("head",)
