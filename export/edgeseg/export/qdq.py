"""From an FP32 ONNX file and the precision plan to the INT8 file of one kind of engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from torch import nn

from edgeseg.compress.plan import Affine, Plan
from edgeseg.export.bind import bind, binding_image, torch_values
from edgeseg.export.deploy_graph import DeployGraph
from edgeseg.export.fits import fixed_size
from edgeseg.export.onnx import INPUT, OUTPUT, quiet_session, strip
from edgeseg.export.placement import Placement, u8s8_x86
from edgeseg.export.qdq_writer import QdqWriter
from edgeseg.export.stem import group_stem
from edgeseg.export.widen import widen_depthwise
from edgeseg.runtime.atomic import write_bytes
from edgeseg.runtime.errors import ExportError
from edgeseg.runtime.manifest import ModelSpec


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
    exported = _load(source)
    graph = DeployGraph(model)
    keys = _bind(exported, graph, spec)

    def affine_of(name: str) -> Affine:
        if name not in keys:
            raise ExportError(f"tensor {name} matches no operation of the network; was it exported from another one?")
        rule = plan.u8 if placement.activation == "uint8" else plan.s8_symmetric
        return max((rule(key) for key in keys[name]), key=lambda affine: affine.scale)

    def is_float(name: str) -> bool:
        return any(plan.is_float(key) for key in keys.get(name, ()))

    shaped = widen_depthwise(exported, placement.depthwise_step)
    written = QdqWriter(shaped, placement, affine_of, is_float).write()
    written = group_stem(written, spec.input.stride_px) if placement.columns else written
    strip(written)
    onnx.checker.check_model(written, full_check=True)
    strip(written)  # the full check leaves nothing behind today; a shipped file must not depend on that
    write_bytes(path, written.SerializeToString(deterministic=True))
    integer = written.graph.output[0].type.tensor_type.elem_type != onnx.TensorProto.FLOAT
    output = spec.output
    if integer:
        affine = affine_of(OUTPUT)
        output = replace(output, dtype=placement.activation, scale=affine.scale, zero_point=affine.zero_point)
    return replace(spec, precision="int8", output=output)


def operations_of(model: nn.Module, source: Path, spec: ModelSpec) -> dict[str, tuple[str, ...]]:
    """Operations of the network (as ranges name them) by tensor of its exported FP32 file.

    Raises:
        ExportError: If the file cannot be read or run.
    """
    return _bind(_load(source), DeployGraph(model), spec)


def _load(source: Path) -> onnx.ModelProto:
    try:
        return onnx.load(source)
    except Exception as err:  # a missing file, or one of several decoding errors
        raise ExportError(f"cannot read the FP32 file {source.name}: {err}. Run export_onnx again.") from err


def _bind(exported: onnx.ModelProto, graph: DeployGraph, spec: ModelSpec) -> dict[str, tuple[str, ...]]:
    size = (2 * graph.stride, 3 * graph.stride) if spec.dynamic else fixed_size(spec.input)
    image = binding_image(*size, graph.channels)
    return bind(torch_values(graph, image), _tensors(exported, image))


def _tensors(exported: onnx.ModelProto, image: np.ndarray) -> dict[str, np.ndarray]:
    """Every float tensor of an ONNX model for one image."""
    shown = onnx.ModelProto()
    shown.CopyFrom(exported)
    inferred = onnx.shape_inference.infer_shapes(shown)
    types = {value.name: value for value in inferred.graph.value_info}
    names = [name for node in shown.graph.node for name in node.output if name in types]
    shown.graph.output.extend(
        types[name] for name in names if types[name].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    )
    try:
        session = quiet_session(shown, optimise=False)
        results = session.run(None, {INPUT: image})
    except Exception as err:
        raise ExportError(
            f"ONNX Runtime cannot run the FP32 file: {str(err).splitlines()[0]}. Export it again."
        ) from err
    return {output.name: value for output, value in zip(session.get_outputs(), results, strict=True)}
