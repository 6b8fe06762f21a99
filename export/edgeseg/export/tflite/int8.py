"""From an FP32 TFLite file and the precision plan to the INT8 file, int8 pixels in, int8 scores out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from ai_edge_quantizer import recipe
from torch import nn

from edgeseg.compress.int8.plan import Plan
from edgeseg.export.tflite.planned import PlannedTflite, open_builtin, plan_tflite
from edgeseg.export.tflite.quantise import Extremes, quantise
from edgeseg.runtime.errors import ExportError
from edgeseg.runtime.files.atomic import write_bytes
from edgeseg.runtime.spec.manifest import ModelSpec


def write_int8_tflite(model: nn.Module, plan: Plan, source: Path, spec: ModelSpec, path: Path) -> ModelSpec:
    """Quantise an exported file: asymmetric s8 activations, symmetric s8 kernels per output channel.

    Args:
        model: The network `source` was exported from.
        plan: Ranges of that network and which operations share one.
        source: FP32 file of `export_tflite`.
        spec: What `export_tflite` returned for it.
        path: File to write, replaced in one step.

    Returns:
        What the file eats (int8, pixel - 128) and returns (int8 scores with their scale and zero point).

    Raises:
        ExportError: If the file is not that network's, or the plan lacks one of its operations.
    """
    planned = plan_tflite(model, plan, source, spec)
    quantised = quantise(planned.content, recipe.static_wi8_ai8(), planned.stays, extremes_of(planned))
    interpreter = open_builtin(quantised)
    entry = interpreter.get_input_details()[0]
    if np.dtype(entry["dtype"]) != np.int8 or entry["quantization"] != (1.0, -128):
        raise ExportError(
            f"ai-edge-quantizer made the input {entry['dtype']} {entry['quantization']}, not pixel - 128."
        )
    write_bytes(path, quantised)
    scores = interpreter.get_output_details()[0]
    output = spec.output
    if np.dtype(scores["dtype"]) == np.int8:
        scale, zero_point = scores["quantization"]
        output = replace(output, dtype="int8", scale=float(scale), zero_point=int(zero_point))
    return replace(spec, precision="int8", input_dtype="int8", output=output)


def extremes_of(planned: PlannedTflite) -> Extremes:
    """Ranges of a plan by tensor: of activations as they are, of kernels so that they get the plan's scales."""
    return _activations(planned) | _kernels(planned)


def _activations(planned: PlannedTflite) -> Extremes:
    extremes: Extremes = {}
    for name in planned.keys:
        low, high = planned.range_of(name)
        extremes[name] = {"min": np.array([[[[low]]]], np.float32), "max": np.array([[[[high]]]], np.float32)}
    return extremes


def _kernels(planned: PlannedTflite) -> Extremes:
    """Range of each kernel's output channels: the same scales as in the ONNX file."""
    extremes: Extremes = {}
    for kernel in planned.kernels():
        widest = (kernel.scale * np.float32(127)).reshape(kernel.shape)
        extremes[kernel.name] = {"min": -widest, "max": widest}
    return extremes
