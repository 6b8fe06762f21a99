"""Export steps: a checkpoint becomes a file with its spec, checked against torch on real images.

A step that cannot export is no crash of the chain: its result says `failed` and why, and its row shows it.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from edgeseg.compress.int8.plan import Plan, make_plan
from edgeseg.compress.int8.stored_ranges import load_ranges
from edgeseg.export.onnx.export import export_onnx
from edgeseg.export.onnx.qdq import write_int8_onnx
from edgeseg.export.onnx.read_back import check_int8_onnx
from edgeseg.export.parity import parity
from edgeseg.export.patch import patch_onnx, patch_tflite
from edgeseg.export.spec_file import model_file, read_spec
from edgeseg.export.tflite.export import export_tflite
from edgeseg.export.tflite.int8 import write_int8_tflite
from edgeseg.export.tflite.read_back import check_int8_tflite
from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.pipeline.plan.layout import CHOOSE_FINAL
from edgeseg.pipeline.plan.results import Choice, Exported
from edgeseg.pipeline.steps.data import open_data
from edgeseg.pipeline.steps.operate import decision_of
from edgeseg.runtime.atomic import write_json
from edgeseg.runtime.data.dataset import DataSet, read_image
from edgeseg.runtime.errors import BackendError, ExportError
from edgeseg.runtime.hashes import sha256_file
from edgeseg.runtime.input_spec import Geometry, InputSpec
from edgeseg.runtime.model_spec import ModelSpec
from edgeseg.train.checkpoint import load_checkpoint
from edgeseg.train.models import SegmentationNet

PARITY_FRAMES = 4


def input_spec(context: StepContext, data: DataSet, model: SegmentationNet) -> InputSpec:
    """The input of a network in this recipe."""
    geometry = context.section("geometry", Geometry)
    return InputSpec(data.color, geometry, int(model.stride), window=data.window)  # type: ignore[arg-type]


def _reporting(step: Callable[[StepContext], ModelSpec]) -> Callable[[StepContext], Exported]:
    """Turn an export that fails into a result with its reason, and a success into one with its parity."""

    @functools.wraps(step)
    def run(context: StepContext) -> Exported:
        failed = _failed_parent(context)
        if failed:
            return Exported("not measured", failed)
        try:
            spec = dataclasses.replace(step(context), decision=decision_of(context))
            found = _check(context, spec)
        except (ExportError, BackendError) as err:
            for path in context.folder.files.iterdir():
                path.unlink()
            return Exported("failed", str(err))
        write_json(context.folder.files / "spec.json", spec.to_json())
        file = model_file(context.folder.files)
        return Exported(
            status="ok",
            file=file.name,
            bytes=file.stat().st_size,
            sha256=sha256_file(file),
            backend=spec.backend,
            precision=spec.precision,
            parity=dataclasses.asdict(found),
        )

    return run


def _failed_parent(context: StepContext) -> str | None:
    for name, record in context.results.items():
        status = record["result"].get("status", "ok")
        if status != "ok":
            return f"{name} is {status}: {record['result'].get('reason')}"
    return None


def _check(context: StepContext, spec: ModelSpec) -> Any:
    data = open_data(context)
    model, _ = load_checkpoint(context.folders[_source(context)].files)
    frames = [read_image(sample.image, data.color, data.window) for sample in data.split("train")[:PARITY_FRAMES]]
    return parity(model, model_file(context.folder.files), spec, frames)


def _source(context: StepContext) -> str:
    """The step whose checkpoint is exported: named in the settings, or the student that was accepted last."""
    named = context.settings.get("of")
    return str(named) if named else context.result(CHOOSE_FINAL, Choice).student


def source_model(context: StepContext) -> SegmentationNet:
    """The network that a step exports or quantises."""
    return load_checkpoint(context.folders[_source(context)].files)[0]


@_reporting
def run_torch_onnx(context: StepContext) -> ModelSpec:
    """FP32 ONNX of fixed size: how a torch row is scored, timed, sized and hashed."""
    data, model = open_data(context), source_model(context)
    spec_in = input_spec(context, data, model)
    return export_onnx(model, context.folder.files / "model.onnx", spec_in, data.classes)


@_reporting
def run_onnx_fp32(context: StepContext) -> ModelSpec:
    """The shipped FP32 ONNX, free in N, H and W."""
    data, model = open_data(context), source_model(context)
    spec_in = input_spec(context, data, model)
    return export_onnx(model, context.folder.files / "model.onnx", spec_in, data.classes, dynamic=True)


@_reporting
def run_tflite_fp32(context: StepContext) -> ModelSpec:
    """FP32 TFLite of fixed size."""
    data, model = open_data(context), source_model(context)
    return export_tflite(model, context.folder.files / "model.tflite", input_spec(context, data, model), data.classes)


@_reporting
def run_onnx_int8(context: StepContext) -> ModelSpec:
    """Q/DQ ONNX, u8s8 for x86, from the plan of the step `ranges`."""
    network, plan, source = quantised(context, "onnx_fp32")
    spec, path = read_spec(context.folders["onnx_fp32"].files), context.folder.files / "model.onnx"
    written = write_int8_onnx(network, plan, source, spec, path)
    check_int8_onnx(network, plan, source, spec, path)
    return written


@_reporting
def run_tflite_int8(context: StepContext) -> ModelSpec:
    """INT8 TFLite from the same plan."""
    network, plan, source = quantised(context, "tflite_fp32")
    spec, path = read_spec(context.folders["tflite_fp32"].files), context.folder.files / "model.tflite"
    written = write_int8_tflite(network, plan, source, spec, path)
    check_int8_tflite(network, plan, source, spec, path)
    return written


def quantised(context: StepContext, exported: str) -> tuple[nn.Module, Plan, Path]:
    """The network that is quantised, its plan, and the FP32 file that holds it.

    The shipped FP32 file is the plain network's; where another one is quantised, a patched copy takes its place.

    Args:
        context: Of a step with the parents `ranges` and `exported`.
        exported: Step that made the FP32 file.

    Raises:
        ConfigError: If the ranges were made for another network. No result of the step: it has to be run again.
    """
    ranges, checkpoint = context.folders["ranges"], context.folders[_source(context)].files
    stored = load_ranges(ranges.files, checkpoint, f"Remove {ranges.root}, then give the same command again.")
    source = model_file(context.folders[exported].files)
    if stored.is_prepared:
        patched = context.folder.work / source.name
        patch = patch_onnx if source.suffix == ".onnx" else patch_tflite
        patch(source, patched, stored.model, stored.network)
        source = patched
    paths = tuple(context.setting("float_paths"))
    return stored.network, make_plan(stored.network, stored.ranges, paths), source
