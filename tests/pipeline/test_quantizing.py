"""The step `ranges`: what is tried, what is kept, and that the file scored is the file that ships."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from edgeseg.compress.calibrate import METHODS
from edgeseg.compress.candidates import Candidate, plain_candidates, prepared_candidates
from edgeseg.compress.prepared import FILE
from edgeseg.export.onnx import export_onnx
from edgeseg.pipeline.chain import Step, StepContext
from edgeseg.pipeline.int8_trials import N_CANDIDATES, TIE, Trial, Trials
from edgeseg.pipeline.plan import plan_steps
from edgeseg.pipeline.recipe import QuantizeSection, load_recipe
from edgeseg.pipeline.steps.exporting import input_spec, run_onnx_int8
from edgeseg.pipeline.steps.quantizing import run_ranges
from edgeseg.pipeline.store import StepFolder, sha256_file
from edgeseg.runtime.atomic import write_json
from edgeseg.runtime.dataset import open_dataset
from edgeseg.runtime.errors import ConfigError
from edgeseg.train.checkpoint import save_checkpoint
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch

RECIPE = """\
name: small
data: {name: synthetic}
geometry: {mode: resize, height_px: 96, width_px: 96}
quantize: {images: 10}
"""

MakeContext = Callable[..., StepContext]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory, synthetic_dir: Path) -> Path:
    """Folders of the steps before `ranges`: a checkpoint with lived-in statistics and its FP32 ONNX file."""
    root = tmp_path_factory.mktemp("run")
    (root / "recipe.yaml").write_text(RECIPE)
    data = open_dataset(synthetic_dir)
    torch.manual_seed(0)
    model = build_model(efficient_unet_arch(1, len(data.classes), width=0.25, stages=3))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    model.train()
    with torch.no_grad():
        model(torch.rand(4, 1, 96, 96))
    save_checkpoint(root / "steps/student/files", model.eval(), {})
    files = root / "steps/onnx_fp32/files"
    files.mkdir(parents=True)
    spec = export_onnx(
        model, files / "model.onnx", input_spec(context_of(root, synthetic_dir), data, model), data.classes
    )
    write_json(files / "spec.json", spec.to_json())
    return root


def context_of(root: Path, data_root: Path, name: str = "ranges", *assignments: str, **results: Any) -> StepContext:
    folders = {step: StepFolder(root / "steps" / step) for step in ("student", "onnx_fp32", "ranges", "onnx_int8")}
    folders[name].begin("key")
    known = {"choose_final": {"student": "student"}, "onnx_fp32": {"status": "ok"}} | results
    return StepContext(
        step=Step(name, tuple(known), {}, ""),
        recipe=load_recipe(root / "recipe.yaml", assignments),
        data_root=data_root,
        split_file=root / "split.csv",
        folder=folders[name],
        results={step: {"result": result} for step, result in known.items()},
        folders=folders,
        progress=lambda share, words: None,
    )


@pytest.fixture
def make_context(run_folder: Path, synthetic_dir: Path) -> MakeContext:
    return lambda *given, **results: context_of(run_folder, synthetic_dir, *given, **results)


def test_auto_tries_all_and_keeps_the_best_on_val(make_context: MakeContext) -> None:
    context = make_context("ranges", "quantize.score_images=3")
    result = run_ranges(context)
    names = [trial["name"] for trial in result["candidates"]]
    assert names[:5] == list(METHODS) and len(names) == N_CANDIDATES == 8
    best = max(trial["val_dice"] for trial in result["candidates"] if trial["status"] == "ok")
    kept = next(trial for trial in result["candidates"] if trial["val_dice"] and trial["val_dice"] >= best - TIE)
    assert (result["method"], result["network"]) == (kept["method"], kept["network"])
    assert result["scored_on"]["n_images"] == 3 and len(result["scored_on"]["images"]) == 3
    assert len(result["images"]) == result["n_images"] == 10
    assert 0 <= result["fp32_val_dice"] <= 1
    assert json.loads(json.dumps(result)) == result
    stored = json.loads((context.folder.files / "ranges.json").read_text())
    assert stored["method"] == kept["method"] and stored["n_images"] == 10
    assert (context.folder.files / FILE).is_file() == (kept["network"] != "plain")
    assert not list(context.folder.files.glob("*.onnx"))
    # What was scored is, byte for byte, what the next step writes.
    context = make_context("onnx_int8", ranges=result)
    written = run_onnx_int8(context)
    assert written["status"] == "ok", written["reason"]
    assert sha256_file(context.folder.files / "model.onnx") == kept["sha256"]


def test_a_named_method_and_network_are_taken_as_they_are(make_context: MakeContext) -> None:
    context = make_context("ranges", "quantize.method=percentile", "quantize.network=equalized+corrected")
    result = run_ranges(context)
    assert (result["method"], result["network"]) == ("percentile", "equalized+corrected")
    assert "candidates" not in result and (context.folder.files / FILE).is_file()
    assert result["equalization"]["channels_scaled"] > 0
    written = run_onnx_int8(make_context("onnx_int8", ranges=result))
    assert written["status"] == "ok", written["reason"]


def test_without_a_file_to_try_on_the_simplest_is_taken(make_context: MakeContext) -> None:
    result = run_ranges(make_context("ranges", onnx_fp32={"status": "failed", "reason": "no"}))
    assert (result["method"], result["network"], result["candidates"]) == ("minmax", "plain", [])
    assert "onnx_fp32 is failed" in result["reason"]


def trials_of(*dice: float | None) -> Trials:
    candidates = [*plain_candidates(), *prepared_candidates("minmax")]
    done = {
        candidate: Trial(candidate.name, candidate.method, candidate.network, val_dice=value)
        for candidate, value in zip(candidates, dice, strict=False)
    }
    return Trials(None, None, lambda share, words: None, done)  # type: ignore[arg-type]


def test_of_equals_the_simplest_is_kept() -> None:
    assert trials_of(0.8, 0.8 + TIE / 2, 0.7).best() == Candidate("minmax")
    assert trials_of(0.8, 0.81, 0.7, None, 0.81).best() == Candidate("moving_average")
    assert trials_of(0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.9).best() == Candidate("minmax", "equalized")
    assert trials_of(None, None).best() is None


def test_recipe_and_plan_know_the_same_methods(run_folder: Path) -> None:
    for method in (*METHODS, "auto"):
        assert load_recipe(run_folder / "recipe.yaml", [f"quantize.method={method}"]).quantize.method == method
    with pytest.raises(ConfigError, match=r"quantize\.method is 'guess'; use one of auto, minmax"):
        load_recipe(run_folder / "recipe.yaml", ["quantize.method=guess"])
    with pytest.raises(ConfigError, match="at least 8 images"):
        QuantizeSection(images=7)
    with pytest.raises(ConfigError, match="chooses the network by itself"):
        QuantizeSection(network="equalized")
    with pytest.raises(ConfigError, match="score_images is 0"):
        QuantizeSection(score_images=0)


def test_candidates_are_planned_after_the_file_they_are_written_from() -> None:
    steps = {step.name: step for step in plan_steps(load_recipe(Path(__file__).parents[2] / "recipes/demo.yaml"))}
    assert "onnx_fp32" in steps["ranges"].parents
    assert {"ranges", "onnx_fp32"} <= set(steps["onnx_int8"].parents)
    assert {"ranges", "tflite_fp32"} <= set(steps["tflite_int8"].parents)
