"""Export steps: a checkpoint becomes a file with its spec, checked against torch on real images.

A step that cannot export is no crash of the chain: its result says `failed` and why, and its row shows it.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from edgeseg.compress.calibrate import Ranges, collect_ranges
from edgeseg.compress.fold import fold_batch_norm
from edgeseg.compress.plan import Plan, make_plan
from edgeseg.export.onnx import export_onnx
from edgeseg.export.parity import parity
from edgeseg.export.qdq import write_int8_onnx
from edgeseg.export.tflite import export_tflite
from edgeseg.export.tflite_int8 import write_int8_tflite
from edgeseg.pipeline.chain import StepContext
from edgeseg.pipeline.steps.spec_files import model_file, read_spec
from edgeseg.pipeline.steps.training import open_data
from edgeseg.runtime.atomic import write_json
from edgeseg.runtime.dataset import DataSet, Sample, read_image, read_mask
from edgeseg.runtime.errors import BackendError, ExportError
from edgeseg.runtime.input_spec import InputSpec
from edgeseg.runtime.model_spec import ModelSpec
from edgeseg.runtime.preprocess import prepare
from edgeseg.train.checkpoint import load_checkpoint
from edgeseg.train.models import SegmentationNet

PARITY_FRAMES = 4

Result = dict[str, Any]


def input_spec(context: StepContext, data: DataSet, model: SegmentationNet) -> InputSpec:
    """The input of a network in this recipe."""
    return InputSpec(color=data.color, geometry=context.recipe.geometry, stride_px=int(model.stride))  # type: ignore[arg-type]


def _reporting(step: Callable[[StepContext], ModelSpec]) -> Callable[[StepContext], Result]:
    """Turn an export that fails into a result with its reason, and a success into one with its parity."""

    @functools.wraps(step)
    def run(context: StepContext) -> Result:
        failed = _failed_parent(context)
        if failed:
            return {"status": "not measured", "reason": failed}
        try:
            spec = step(context)
            found = _check(context, spec)
        except (ExportError, BackendError) as err:
            for path in context.folder.files.iterdir():
                path.unlink()
            return {"status": "failed", "reason": str(err)}
        write_json(context.folder.files / "spec.json", spec.to_json())
        file = model_file(context.folder.files)
        return {
            "status": "ok",
            "reason": None,
            "file": file.name,
            "bytes": file.stat().st_size,
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "backend": spec.backend,
            "precision": spec.precision,
            "parity": dataclasses.asdict(found),
        }

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
    frames = [read_image(sample.image, data.color) for sample in data.split("train")[:PARITY_FRAMES]]
    return parity(model, model_file(context.folder.files), spec, frames)


def _source(context: StepContext) -> str:
    """The step whose checkpoint is exported: named in the settings, or the student that was accepted last."""
    named = context.step.settings.get("of")
    return str(named) if named else str(context.results["choose_final"]["result"]["student"])


def _model(context: StepContext) -> SegmentationNet:
    return load_checkpoint(context.folders[_source(context)].files)[0]


@_reporting
def run_torch_onnx(context: StepContext) -> ModelSpec:
    """FP32 ONNX of fixed size: how a torch row is scored, timed, sized and hashed."""
    data, model = open_data(context), _model(context)
    spec_in = input_spec(context, data, model)
    return export_onnx(model, context.folder.files / "model.onnx", spec_in, data.classes)


@_reporting
def run_onnx_fp32(context: StepContext) -> ModelSpec:
    """The shipped FP32 ONNX, free in N, H and W."""
    data, model = open_data(context), _model(context)
    spec_in = input_spec(context, data, model)
    return export_onnx(model, context.folder.files / "model.onnx", spec_in, data.classes, dynamic=True)


@_reporting
def run_tflite_fp32(context: StepContext) -> ModelSpec:
    """FP32 TFLite of fixed size."""
    data, model = open_data(context), _model(context)
    return export_tflite(model, context.folder.files / "model.tflite", input_spec(context, data, model), data.classes)


@_reporting
def run_onnx_int8(context: StepContext) -> ModelSpec:
    """Q/DQ ONNX, u8s8 for x86, from the one collection of ranges."""
    model, plan = _model(context), _plan(context)
    source = context.folders["onnx_fp32"].files
    target = context.folder.files / "model.onnx"
    return write_int8_onnx(model, plan, source / "model.onnx", read_spec(source), target)


@_reporting
def run_tflite_int8(context: StepContext) -> ModelSpec:
    """INT8 TFLite from the same collection of ranges."""
    model, plan = _model(context), _plan(context)
    source = context.folders["tflite_fp32"].files
    target = context.folder.files / "model.tflite"
    return write_int8_tflite(model, plan, source / "model.tflite", read_spec(source), target)


def run_ranges(context: StepContext) -> Result:
    """Collect activation ranges once, on training images, for every INT8 file."""
    data, section = open_data(context), context.recipe.quantize
    trained = _model(context)
    chosen = _calibration_samples(data, section.images, context.recipe.train.seed)
    spec_in = input_spec(context, data, trained)
    ranges = collect_ranges(fold_batch_norm(trained), _calibration_tensors(data, chosen, spec_in), section.method)  # type: ignore[arg-type]
    write_json(context.folder.files / "ranges.json", ranges.to_json())
    return {"images": [sample.stem for sample in chosen], "method": section.method, "n_images": ranges.n_images}


def _plan(context: StepContext) -> Plan:
    stored = json.loads((context.folders["ranges"].files / "ranges.json").read_text())
    float_paths = context.recipe.quantize.float_paths
    return make_plan(fold_batch_norm(_model(context)), Ranges.from_json(stored), float_paths)


def _calibration_samples(data: DataSet, count: int, seed: int) -> list[Sample]:
    """A seeded draw from train."""
    train = data.split("train")
    order = np.random.default_rng(seed).permutation(len(train))
    return [train[int(index)] for index in order[:count]]


def _calibration_tensors(data: DataSet, samples: list[Sample], spec: InputSpec) -> Iterator[np.ndarray]:
    """Pixels as the runtime makes them; of a tiled frame the tile with most foreground and one in the middle."""
    for sample in samples:
        tensor = prepare(read_image(sample.image, data.color), spec).tensor
        if spec.geometry.mode != "tile":
            yield tensor
            continue
        mask = read_mask(sample.mask, len(data.classes))
        tiles = prepare(mask, dataclasses.replace(spec, color="gray")).tensor
        fullest = int((tiles > 0).sum(axis=(1, 2, 3)).argmax())
        yield tensor[sorted({fullest, len(tensor) // 2})]
