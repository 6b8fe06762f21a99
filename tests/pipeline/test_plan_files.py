"""The step `plan_files` on a small network: its files, their agreement, and what is said where one is missing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from edgeseg.export.mask_agreement import MAX_DICE, MAX_PIXELS
from edgeseg.export.trt.cache import read_trt_cache
from edgeseg.pipeline.chain.chain import Chain, ChainRun, Step
from edgeseg.pipeline.plan.plan import ranges_settings
from edgeseg.pipeline.recipe.recipe import load_recipe
from edgeseg.pipeline.steps.plan_files import UNVERIFIED
from edgeseg.runtime.data.dataset import open_dataset
from edgeseg.runtime.hashes import sha256_file
from edgeseg.train.checkpoint import save_checkpoint
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch

RECIPE = """\
name: small
data: {name: synthetic}
geometry: {mode: resize, height_px: 64, width_px: 64}
quantize: {images: 8, method: minmax, network: corrected}
"""
EXPORT, STEPS = "edgeseg.pipeline.steps.export:", "edgeseg.pipeline.steps."
pytestmark = pytest.mark.slow  # the exports
MODELS = ("onnx-int8-x86", "onnx-int8", "tflite-int8")

RunPart = Callable[..., tuple[Chain, ChainRun]]


@pytest.fixture(scope="module")
def run_part(tmp_path_factory: pytest.TempPathFactory, synthetic_dir: Path) -> RunPart:
    """Runs the part of the chain that quantises; exports are made once."""
    root = tmp_path_factory.mktemp("plan_files")
    (root / "recipe.yaml").write_text(RECIPE)
    torch.manual_seed(0)
    n_classes = len(open_dataset(synthetic_dir).classes)
    model = build_model(efficient_unet_arch(1, n_classes, width=0.25, stages=3))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    model.train()
    with torch.no_grad():
        model(torch.rand(4, 1, 64, 64))
    save_checkpoint(root / "checkpoint", model.eval(), {})

    def run(*assignments: str, tflite: str = "run_tflite_fp32") -> tuple[Chain, ChainRun]:
        recipe = load_recipe(root / "recipe.yaml", assignments)
        where = recipe.sections("geometry") | {"of": "network"}
        planned = where | {"float_paths": list(recipe.quantize.float_paths)}
        copied = {"checkpoint": str(root / "checkpoint")}
        ranges = ("network", "onnx_fp32")
        steps = (
            Step("network", (), copied, "edgeseg.pipeline.search.ship:run_network"),
            Step("onnx_fp32", ("network",), where, EXPORT + "run_torch_onnx"),
            Step("tflite_fp32", ("network",), where | {"how": tflite}, EXPORT + tflite),
            Step("ranges", ranges, where | ranges_settings(recipe, None), STEPS + "quantize:run_ranges"),
            Step("onnx_int8", (*ranges, "ranges"), planned, EXPORT + "run_onnx_int8"),
            Step("tflite_int8", ("network", "tflite_fp32", "ranges"), planned, EXPORT + "run_tflite_int8"),
            Step(
                "plan_files",
                ("onnx_fp32", "tflite_fp32", "ranges", "onnx_int8", "tflite_int8"),
                planned,
                STEPS + "plan_files:run_plan_files",
            ),
        )
        chain = Chain(steps, root, synthetic_dir, "data")
        return chain, chain.run()

    return run


def test_all_four_files_are_the_plans_and_their_masks_are_compared(run_part: RunPart) -> None:
    chain, state = run_part()
    result = state.records["plan_files"]["result"]
    assert json.loads(json.dumps(result)) == result
    files = chain.folder("plan_files").files
    assert {path.name for path in files.iterdir()} == {"int8_s8.onnx", "spec.json", "calibration.cache", "fp32.onnx"}
    assert list(result["files"]) == [*MODELS, "trt-cache"]
    for name, entry in result["files"].items():
        assert entry["status"] == "ok", entry["reason"]
        assert entry["read_back"]["n_tensors"] > 10
        assert entry["evidence"] == (UNVERIFIED if name in ("onnx-int8", "trt-cache") else None)
        assert (entry["val_dice"] is None) == (name == "trt-cache")
    assert result["files"]["onnx-int8"]["sha256"] == sha256_file(files / "int8_s8.onnx")
    shipped = state.records["onnx_int8"]["result"]
    assert result["files"]["onnx-int8-x86"]["sha256"] == shipped["sha256"]
    assert read_trt_cache(files / "calibration.cache").scales["image"] == pytest.approx(255 / 127)
    # What is quantised here is the corrected network, and the cache is for its float file.
    assert (files / "fp32.onnx").read_bytes() != (chain.folder("onnx_fp32").files / "model.onnx").read_bytes()
    n_val = len(open_dataset(chain.data_root).split("val"))
    assert result["scored_on"] == {"split": "val", "n_images": n_val}
    assert [(pair["a"], pair["b"]) for pair in result["pairs"]] == [MODELS[:2], MODELS[::2], MODELS[1:]]
    for pair in result["pairs"]:
        assert pair["status"] == "ok" and 0 <= pair["pixels_differ"] < 0.2
        dice = [result["files"][pair[end]]["val_dice"] for end in "ab"]
        assert pair["dice_difference"] == pytest.approx(dice[0] - dice[1])
        assert pair["lo95"] is None or pair["lo95"] <= pair["hi95"]
        near = pair["pixels_differ"] <= MAX_PIXELS and abs(pair["dice_difference"]) <= MAX_DICE
        assert pair["holds"] == near


def test_float_paths_of_the_recipe_are_in_every_file(run_part: RunPart) -> None:
    def floats(state: ChainRun) -> dict[str, int]:
        files = state.records["plan_files"]["result"]["files"]
        return {name: entry["read_back"]["n_float"] for name, entry in files.items()}

    # The widest layers: narrow ones are float in the file for TensorRT anyway.
    changed = floats(run_part("quantize.float_paths=[blocks.2.1.conv_dw, head]")[1])
    plain = floats(run_part()[1])
    assert changed == {name: count + (1 if name == "onnx-int8" else 2) for name, count in plain.items()} | {
        "trt-cache": 3  # the head, and both of the convolution and its ReLU
    }


def test_a_file_that_is_not_the_plans_fails_its_step(run_part: RunPart, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer goes wrong (here: it is handed another plan); the check catches it before anything ships."""
    from edgeseg.compress.int8.plan import Plan
    from edgeseg.pipeline.steps import export as exporting

    write = exporting.write_int8_onnx

    def wrong(model: nn.Module, plan: Plan, *others: Any) -> Any:
        return write(model, dataclasses.replace(plan, float_paths=("head",)), *others)

    monkeypatch.setattr(exporting, "write_int8_onnx", wrong)
    chain, state = run_part("quantize.float_paths=[blocks.1.0.conv_pw]")
    result = state.records["onnx_int8"]["result"]
    assert result["status"] == "failed" and "model.onnx is not the plan's: " in result["reason"]
    assert not list(chain.folder("onnx_int8").files.iterdir())
    found = state.records["plan_files"]["result"]
    assert found["files"]["onnx-int8-x86"]["status"] == "failed" and found["files"]["onnx-int8"]["status"] == "ok"
    assert [pair["status"] for pair in found["pairs"]] == ["left out", "left out", "ok"]


def test_a_file_that_is_missing_leaves_its_pairs_out(run_part: RunPart, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgeseg.pipeline.steps import export as exporting
    from edgeseg.runtime.errors import ExportError

    def refuse(*given: Any) -> None:
        raise ExportError("no converter here")

    monkeypatch.setattr(exporting, "export_tflite", refuse)
    monkeypatch.setattr(exporting, "run_refused", exporting.run_tflite_fp32, raising=False)
    _, state = run_part(tflite="run_refused")
    result = state.records["plan_files"]["result"]
    assert result["files"]["tflite-int8"]["status"] == "not measured"
    assert [pair["status"] for pair in result["pairs"]] == ["ok", "left out", "left out"]
    for pair in result["pairs"][1:]:
        assert "tflite-int8: not measured: tflite_fp32 is failed: no converter here" in pair["reason"]
        assert pair["holds"] is None and pair["pixels_differ"] is None
