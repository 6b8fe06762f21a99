"""The exporting steps on a small network: every variant of the table, and what is said where one is missing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import nn

from edgeseg.export.onnx import qdq
from edgeseg.export.tflite import export as tflite_export
from edgeseg.export.trt.cache import read_trt_cache
from edgeseg.pipeline.chain.chain import Chain, ChainRun, Step
from edgeseg.pipeline.plan.data_identity import data_identity
from edgeseg.pipeline.plan.exports import ranges_settings
from edgeseg.pipeline.plan.variants import VARIANTS
from edgeseg.pipeline.recipe.recipe import load_recipe
from edgeseg.pipeline.recipe.sections.export import RangesSection
from edgeseg.runtime.data.dataset import open_dataset
from edgeseg.runtime.engines import missing
from edgeseg.runtime.errors import ExportError
from edgeseg.runtime.opening.step_folder import read_spec
from edgeseg.train.checkpoint import save_checkpoint
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch

RECIPE = """\
name: small
data: {name: synthetic}
geometry: {mode: resize, height_px: 64, width_px: 64}
quantize: {images: 8, method: minmax, network: corrected}
"""
NETWORK_STEP = """\
import shutil

def run_network(context):
    shutil.copytree(context.setting("checkpoint"), context.folder.files, dirs_exist_ok=True)
    return {"status": "ok", "reason": None}
"""
STEPS = "edgeseg.pipeline.steps."
EXPORT = STEPS + "export:"
pytestmark = pytest.mark.slow  # the exports

RunPart = Callable[..., tuple[Chain, ChainRun]]


@pytest.fixture(scope="module")
def run_part(tmp_path_factory: pytest.TempPathFactory, synthetic_dir: Path) -> Iterator[RunPart]:
    """Runs the part of the chain that writes files, from the table of variants; exports are made once."""
    root = tmp_path_factory.mktemp("exports")
    (root / "recipe.yaml").write_text(RECIPE)
    (root / "step_of_a_test.py").write_text(NETWORK_STEP)
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

    def run(*assignments: str, again: str = "") -> tuple[Chain, ChainRun]:
        recipe = load_recipe(root / "recipe.yaml", assignments)
        where = recipe.sections("geometry") | {"of": "network"}
        planned = where | {"float_paths": list(recipe.quantize.float_paths), "again": again}
        ranges = where | ranges_settings(recipe, None)
        steps = [Step("network", (), {"checkpoint": str(root / "checkpoint")}, "step_of_a_test:run_network")]
        for one in sorted(VARIANTS, key=lambda one: (one.precision != "fp32", one.same_as is not None)):
            if one.precision != "fp32" and "ranges" not in {step.name for step in steps}:
                uncut = ranges | {"quantize": dataclasses.asdict(RangesSection(8))}
                for name, settings in (("ranges", ranges), ("extremes", uncut)):
                    steps.append(Step(name, ("network", "onnx_fp32"), settings, STEPS + "quantize:run_ranges"))
            if one.same_as:
                absent = "no engine here" if again == "no engine" else missing(one.engine.name)
                settings = where | {"file": one.same_as, "engine": one.engine.name, "missing": absent}
                step = Step(one.step, ("network", one.same_as), settings, EXPORT + "run_same_file")
            elif one.precision == "fp32":
                settings = where | {"format": one.format, "again": again if one.format == "tflite" else ""}
                step = Step(one.step, ("network",), settings, EXPORT + "run_float")
            else:
                settings = planned | {"format": one.format, "source": one.parent}
                if one.precision != "int8":
                    settings |= {"precision": one.precision, "ranges": "extremes"}
                parents = ("network", one.parent, settings.get("ranges", "ranges"))
                step = Step(one.step, parents, settings, EXPORT + "run_quantised")
            steps.append(step)
        chain = Chain(tuple(steps), root, synthetic_dir, data_identity(open_dataset(synthetic_dir)))
        return chain, chain.run()

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root))
        yield run


def results(state: ChainRun) -> dict[str, dict[str, Any]]:
    return {one.step: state.records[one.step]["result"] for one in VARIANTS}


def test_a_row_whose_engine_is_not_installed_says_so(run_part: RunPart) -> None:
    found = results(run_part(again="no engine")[1])
    for one in VARIANTS:
        status, reason = ("not measured", "no engine here") if one.same_as else ("ok", None)
        assert (found[one.step]["status"], found[one.step]["reason"]) == (status, reason)


def test_every_variant_is_written_and_every_int8_file_is_the_plans(run_part: RunPart) -> None:
    pytest.importorskip("openvino")
    _, state = run_part()
    for one in VARIANTS:
        result = results(state)[one.step]
        assert result["status"] == "ok", result["reason"]
        assert (result["backend"], result["precision"]) == (one.engine.name, one.precision)
        if one.same_as:
            assert result["sha256"] == results(state)[one.same_as]["sha256"], "the very bytes"
        elif one.precision in ("int8", "int16x8"):
            assert result["read_back"]["n_tensors"] > 10
            assert one.precision != "int8" or one.format != "onnx" or result["read_back"]["n_float"] == 0, (
                "nothing is left in float on x86"
            )
        elif one.precision == "fp32":
            assert result["read_back"] is None
        else:
            stem = 1 if one.precision == "dynamic" else 0
            assert len(result["read_back"]["fp32"]) == stem, "but for that nothing is left in FP32"


def test_the_symmetric_file_is_signed_and_the_cache_beside_it_is_for_its_own_float_file(run_part: RunPart) -> None:
    chain, _ = run_part()
    files = chain.folder("onnx_s8").files
    assert {path.name for path in files.iterdir()} == {"model.onnx", "spec.json", "calibration.cache", "fp32.onnx"}
    zero_points = {
        node.input[2] for node in onnx.load(files / "model.onnx").graph.node if node.op_type == "QuantizeLinear"
    }
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in onnx.load(files / "model.onnx").graph.initializer}
    assert zero_points and all(constants[name].dtype == "int8" and not constants[name].any() for name in zero_points)
    assert read_spec(files).backend == "onnxruntime"
    assert read_trt_cache(files / "calibration.cache").scales["image"] == pytest.approx(255 / 127)
    # What is quantised here is the corrected network, and the cache is for its float file.
    assert (files / "fp32.onnx").read_bytes() != (chain.folder("onnx_fp32").files / "model.onnx").read_bytes()


def test_float_paths_of_the_recipe_are_in_every_file(run_part: RunPart) -> None:
    def floats(state: ChainRun) -> dict[str, int]:
        found = {name: one["read_back"] for name, one in results(state).items() if one["precision"] == "int8"}
        return {name: read["n_float"] for name, read in found.items() if read}

    # The widest layers: narrow ones are float in the symmetric file anyway, as are the scores.
    changed = floats(run_part("quantize.float_paths=[blocks.2.1.conv_dw, head]")[1])
    plain = floats(run_part()[1])
    assert len(plain) == 3
    assert changed == {name: count + (1 if name == "onnx_s8" else 2) for name, count in plain.items()}


def test_a_file_that_is_not_the_plans_fails_its_step(run_part: RunPart, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer goes wrong (here: it is handed another plan); the check catches it before anything ships."""
    write = qdq.write_int8_onnx

    def wrong(model: nn.Module, plan: Any, *others: Any) -> Any:
        return write(model, dataclasses.replace(plan, float_paths=("head",)), *others)

    monkeypatch.setattr(qdq, "write_int8_onnx", wrong)
    chain, state = run_part("quantize.float_paths=[blocks.1.0.conv_pw]")
    result = state.records["onnx_int8"]["result"]
    assert result["status"] == "failed" and "model.onnx is not the plan's: " in result["reason"]
    assert not list(chain.folder("onnx_int8").files.iterdir())
    assert results(state)["tflite_int8"]["status"] == "ok"


def test_a_file_that_cannot_be_written_leaves_out_what_is_made_of_it(
    run_part: RunPart, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: Any) -> None:
        raise ExportError("no converter here")

    monkeypatch.setattr(tflite_export, "export_tflite", refuse)
    found = results(run_part(again="refused")[1])
    assert (found["tflite_fp32"]["status"], found["tflite_fp32"]["reason"]) == ("failed", "no converter here")
    assert found["tflite_int8"]["status"] == "not measured"
    assert found["tflite_int8"]["reason"] == "tflite_fp32 is failed: no converter here"
    assert found["onnx_int8"]["status"] == "ok"
