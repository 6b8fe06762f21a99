"""An exported FP32 ONNX file with what a precision plan says about each of its tensors.

Whoever writes from a plan and whoever reads back what was written ask the same object, so that there is one answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from torch import nn

from edgeseg.compress.graph.trace import INPUT as PIXELS
from edgeseg.compress.int8.plan import Affine, Plan, weight_scale
from edgeseg.export.bind import bind, binding_image, torch_values, with_fused
from edgeseg.export.deploy_graph import DeployGraph
from edgeseg.export.fits import fixed_size
from edgeseg.export.onnx.export import INPUT, quiet_session
from edgeseg.export.onnx.level import level_concats
from edgeseg.export.onnx.placement import CONVS, LAYOUT, MOVES, Placement
from edgeseg.export.onnx.widen import widen_depthwise
from edgeseg.export.read_back import Numbers
from edgeseg.runtime.engine_message import condensed
from edgeseg.runtime.errors import ExportError
from edgeseg.runtime.spec.manifest import ModelSpec


@dataclass(frozen=True)
class PlannedOnnx:
    """A float graph and a plan.

    Attributes:
        model: The graph as the placement wants it: same function and tensor names as the file's.
        plan: Ranges of its network.
        placement: How integers are made of it.
        keys: Operations of the network by tensor that holds their result; more than one where all of it is zeros.
        fused: The same, with the operations that were fused into these.
        joined: By tensor, the concatenation whose scale it has.
    """

    model: onnx.ModelProto
    plan: Plan
    placement: Placement
    keys: dict[str, tuple[str, ...]] = field(repr=False)
    fused: dict[str, tuple[str, ...]] = field(repr=False)
    joined: dict[str, str] = field(default_factory=dict)

    def affine_of(self, name: str) -> Affine:
        """Scale and zero point of a tensor.

        Raises:
            ExportError: If it is no operation's result, or the operation was not calibrated.
        """
        name = self.joined.get(name, name)
        if name not in self.keys:
            raise ExportError(f"tensor {name} matches no operation of the network; was it exported from another one?")
        rule = self.plan.u8 if self.placement.activation == "uint8" else self.plan.s8_symmetric
        return max((rule(key) for key in self.keys[name]), key=lambda affine: affine.scale)

    def is_float(self, name: str) -> bool:
        """Whether the operator that makes this tensor stays in float."""
        return any(self.plan.is_float(key) for key in self.fused.get(name, ()))

    @cached_property
    def constants(self) -> dict[str, np.ndarray]:
        """The graph's constants by name."""
        return {tensor.name: numpy_helper.to_array(tensor) for tensor in self.model.graph.initializer}

    def numbers(self) -> Numbers:
        """What a file written from this must hold."""
        integer: dict[str, bool] = {}
        kernels: dict[str, np.ndarray] = {}
        for node in self.model.graph.node:
            made = node.output[0]
            if node.op_type not in {*CONVS, *MOVES, "Add"}:
                continue
            integer[made] = not self.is_float(made) and self.placement.takes(node, self.constants)
            if integer[made] and node.op_type in CONVS:
                weight, *bias = (self.constants[name] for name in node.input[1:])
                source = self.affine_of(node.input[0]).scale
                kernels[made] = weight_scale(weight, bias[0] if bias else None, source, CONVS[node.op_type])
        return Numbers({name: frozenset([self.affine_of(name)]) for name in self.keys}, integer, kernels)


def plan_onnx(model: nn.Module, plan: Plan, source: Path, spec: ModelSpec, placement: Placement) -> PlannedOnnx:
    """Find out what a plan says about the tensors of an exported file.

    Args:
        model: The network `source` was exported from.
        plan: Ranges of that network and which operations share one.
        source: FP32 file of `export_onnx`.
        spec: What `export_onnx` returned for it.
        placement: How integers are made of it.

    Raises:
        ExportError: If the file cannot be read or run, or the plan lacks one of its operations.
    """
    exported = load_fp32(source)
    graph = DeployGraph(model)
    keys = bind_onnx(exported, graph, spec)
    shaped = widen_depthwise(exported, placement.depthwise_step)
    planned = PlannedOnnx(shaped, plan, placement, keys, with_fused(graph, keys))
    if not placement.one_scale_concat:
        return planned
    levelled, joined = level_concats(shaped, planned.affine_of, planned.is_float)
    return replace(planned, model=levelled, joined=joined)


def load_fp32(source: Path) -> onnx.ModelProto:
    """Read an exported file.

    Raises:
        ExportError: If it is missing or damaged.
    """
    try:
        return onnx.load(source)
    except Exception as err:  # a missing file, or one of several decoding errors
        raise ExportError(f"cannot read the FP32 file {source.name}: {err}. Run export_onnx again.") from err


def bind_onnx(exported: onnx.ModelProto, graph: DeployGraph, spec: ModelSpec) -> dict[str, tuple[str, ...]]:
    """Operations of the network by tensor of its exported file, its input and what moves its pixels among them.

    Raises:
        ExportError: If the file cannot be run.
    """
    size = (2 * graph.stride, 3 * graph.stride) if spec.dynamic else fixed_size(spec.input)
    image = binding_image(*size, graph.channels)
    return bind(torch_values(graph, image), _tensors(exported, image)) | _pixels(exported)


def _pixels(exported: onnx.ModelProto) -> dict[str, tuple[str, ...]]:
    """The network's input and what only moves its pixels: in other layouts than binding by value compares."""
    found: dict[str, tuple[str, ...]] = {INPUT: (PIXELS,)}
    for node in exported.graph.node:
        if node.op_type in {*LAYOUT, "Cast"} and node.input[0] in found:
            found[node.output[0]] = found[node.input[0]]
    return found


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
        raise ExportError(f"ONNX Runtime cannot run the FP32 file: {condensed(err)}. Export it again.") from err
    return {output.name: value for output, value in zip(session.get_outputs(), results, strict=True)}
