"""From an FP32 ONNX file and the precision plan to the INT8 file of one kind of engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
from torch import nn

from edgeseg.compress.int8.plan import Plan
from edgeseg.export.deploy_graph import DeployGraph
from edgeseg.export.onnx.export import OUTPUT
from edgeseg.export.onnx.placement import Placement, u8s8_x86
from edgeseg.export.onnx.planned import bind_onnx, load_fp32, plan_onnx
from edgeseg.export.onnx.qdq_writer import QdqWriter
from edgeseg.export.onnx.stem import group_stem
from edgeseg.export.onnx.strip import strip
from edgeseg.runtime.files.atomic import write_bytes
from edgeseg.runtime.spec.manifest import ModelSpec


def write_int8_onnx(
    model: nn.Module, plan: Plan, source: Path, spec: ModelSpec, path: Path, placement: Placement | None = None
) -> ModelSpec:
    """Quantise an exported file.

    Args:
        model: The network `source` was exported from.
        plan: Ranges of that network and which operations share one.
        source: FP32 file of `export_onnx`.
        spec: What `export_onnx` returned for it.
        path: File to write, replaced in one step.
        placement: Default `u8s8_x86()`.

    Returns:
        What the file eats and returns: uint8 scores with their scale and zero point, or float32 scores where the
        placement or the plan keeps the head in float.

    Raises:
        ExportError: If the file is not that network's, or the plan lacks one of its operations.
    """
    placement = placement or u8s8_x86()
    planned = plan_onnx(model, plan, source, spec, placement)
    written = QdqWriter(planned.model, placement, planned.affine_of, planned.is_float).write()
    written = group_stem(written, spec.input.stride_px) if placement.columns else written
    strip(written)
    onnx.checker.check_model(written, full_check=True)
    strip(written)  # the full check leaves nothing behind today; a shipped file must not depend on that
    write_bytes(path, written.SerializeToString(deterministic=True))
    integer = written.graph.output[0].type.tensor_type.elem_type != onnx.TensorProto.FLOAT
    output = spec.output
    if integer:
        affine = planned.affine_of(OUTPUT)
        output = replace(output, dtype=placement.activation, scale=affine.scale, zero_point=affine.zero_point)
    return replace(spec, precision="int8", output=output)


def operations_of(model: nn.Module, source: Path, spec: ModelSpec) -> dict[str, tuple[str, ...]]:
    """Operations of the network (as ranges name them) by tensor of its exported FP32 file.

    Raises:
        ExportError: If the file cannot be read or run.
    """
    return bind_onnx(load_fp32(source), DeployGraph(model), spec)
