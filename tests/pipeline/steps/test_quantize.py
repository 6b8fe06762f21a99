"""The step `ranges`: what the recipe names is what the INT8 file is written from."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from edgeseg.compress.calibration.folder import recipe_folder
from edgeseg.compress.int8.calibrate import METHODS
from edgeseg.compress.int8.prepared import FILE
from edgeseg.export.onnx.export import export_onnx
from edgeseg.pipeline.chain.chain import Step, StepContext
from edgeseg.pipeline.chain.store import StepFolder
from edgeseg.pipeline.plan.exports import ranges_places, ranges_settings
from edgeseg.pipeline.recipe.recipe import load_recipe
from edgeseg.pipeline.recipe.sections.export import QuantizeSection
from edgeseg.pipeline.steps.export import input_spec, run_quantised
from edgeseg.pipeline.steps.quantize import run_ranges
from edgeseg.runtime.data.dataset import open_dataset
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.files.atomic import write_json
from edgeseg.train.checkpoint import save_checkpoint
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch
from edgeseg.train.synthetic.dataset import write_dataset

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
    known = {"choose_final": {"student": "student", "reason": ""}, "onnx_fp32": {"status": "ok"}} | results
    recipe = load_recipe(root / "recipe.yaml", assignments)
    folder = recipe_folder(open_dataset(data_root), recipe.quantize.folder)
    settings = ranges_settings(recipe, folder and folder.sha256) | {"float_paths": list(recipe.quantize.float_paths)}
    of_int8 = {"format": "onnx", "source": "onnx_fp32"}
    return StepContext(
        step=Step(name, tuple(known), settings | of_int8, "", places=ranges_places(recipe)),
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


def test_a_named_method_and_network_are_taken_as_they_are(make_context: MakeContext) -> None:
    context = make_context("ranges", "quantize.method=percentile", "quantize.network=equalized+corrected")
    result = run_ranges(context)
    assert (result["method"], result["network"]) == ("percentile", "equalized+corrected")
    assert len(result["images"]) == result["n_images"] == 10 and (context.folder.files / FILE).is_file()
    assert result["source"] == "train" and result["of"] > 10 and result["folder_sha256"] is None
    assert json.loads(json.dumps(result)) == result
    stored = json.loads((context.folder.files / "ranges.json").read_text())
    assert stored["method"] == "percentile" and stored["n_images"] == 10
    assert result["equalization"]["channels_scaled"] > 0
    written = run_quantised(make_context("onnx_int8", ranges=result))
    assert written.status == "ok", written.reason


@pytest.mark.parametrize(("width", "seed"), [(0.25, 1), (0.5, 0)])
@pytest.mark.parametrize("network", ["plain", "corrected"])
def test_a_plan_of_another_network_of_the_family_is_refused(
    width: float, seed: int, network: str, make_context: MakeContext, tmp_path: Path
) -> None:
    context = make_context("ranges", "quantize.method=minmax", f"quantize.network={network}")
    result = run_ranges(context)
    context = make_context("onnx_int8", ranges=result)
    torch.manual_seed(seed)
    n_classes = len(open_dataset(context.data_root).classes)
    other = build_model(efficient_unet_arch(1, n_classes, width=width, stages=3)).eval()
    save_checkpoint(tmp_path / "student/files", other, {})
    context.folders["student"] = StepFolder(tmp_path / "student")
    with pytest.raises(ConfigError, match=r"holds the ranges of network \w{12}, but that in .*student.* is \w{12}"):
        run_quantised(context)
    assert not list(context.folder.files.iterdir())


def test_images_of_ones_own_take_the_place_of_train(
    make_context: MakeContext, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("own") / "metal"
    write_dataset(root, n=9, seed=5, size_px=96)
    context = make_context("ranges", "quantize.method=minmax")
    on_train = run_ranges(context), (context.folder.files / "ranges.json").read_text()
    context = make_context("ranges", "quantize.method=minmax", f"quantize.folder={root / 'images'}")
    result = run_ranges(context)
    assert (result["source"], result["n_images"], result["of"]) == ("folder", 9, 9)
    assert sorted(result["images"]) == sorted(path.stem for path in (root / "images").iterdir())
    assert result["images_by_class"] is None and len(result["folder_sha256"]) == 64
    assert json.loads(json.dumps(result)) == result
    assert (context.folder.files / "ranges.json").read_text() != on_train[1]
    (root / "images" / "another.png").write_bytes(next((root / "images").iterdir()).read_bytes())
    with pytest.raises(ConfigError, match="have changed since this run began"):
        run_ranges(context)


def test_recipe_and_plan_know_the_same_methods(run_folder: Path) -> None:
    for method in METHODS:
        assert load_recipe(run_folder / "recipe.yaml", [f"quantize.method={method}"]).quantize.method == method
    with pytest.raises(ConfigError, match=r"quantize\.method is 'guess'; use one of minmax"):
        load_recipe(run_folder / "recipe.yaml", ["quantize.method=guess"])
    with pytest.raises(ConfigError, match="at least 8 images"):
        QuantizeSection(images=7)
    assert (QuantizeSection().method, QuantizeSection().network) == ("minmax", "plain")


def test_a_recipe_of_before_is_told_the_methods_to_choose_from(run_folder: Path) -> None:
    named = re.escape("line 4: quantize.method is 'auto'; use one of " + ", ".join(METHODS))
    recipe = run_folder / "before.yaml"
    recipe.write_text(RECIPE.replace("images: 10", "images: 10, method: auto"))
    with pytest.raises(ConfigError, match=named):
        load_recipe(recipe)
