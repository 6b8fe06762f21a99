"""Rules about a pair by itself: its integers, its axis, its two halves (rules 1, 2 and 10)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto

from edgeseg.export.onnx.placement import CONVS
from edgeseg.export.trt.rules.graph import DQ, MATMULS, Findings, Q, QdqGraph, attribute

_TYPE_NAMES = {value: name.lower() for name, value in TensorProto.DataType.items()}
_PER_CHANNEL_OPSET, _HALF_SCALES_OPSET = 13, 19
# Integer arithmetic written as operators instead of pairs: TensorRT has none of them.
_INTEGER_OPERATORS = ("QLinear", "QGemm", "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear")


def symmetric(graph: QdqGraph) -> Findings:
    """Rule 1: int8, zero point 0, positive scales; one for an activation, one a channel for a kernel."""
    kernels = {
        half.output[0]: _channels(graph, node, half) for node in graph.nodes for half in _kernel_halves(graph, node)
    }
    for node in graph.nodes:
        if node.op_type not in (Q, DQ) or _is_bias(graph, node):
            continue
        found = _symmetric_fault(graph, node) or _granularity_fault(graph, node, kernels)
        if found:
            yield node, found


def channel_axis(graph: QdqGraph) -> Findings:
    """Rule 2: a kernel's scales run along its output channels."""
    for node in graph.nodes:
        for half in _kernel_halves(graph, node):
            shape, scale = graph.shape(half.input[0]), graph.scale(half)
            if shape is None or scale is None or scale.size == 1:
                continue
            wanted = _output_axis(node, len(shape))
            axis = attribute(half, "axis", 1) % len(shape)
            if axis != wanted:
                yield half, f"the kernel of {node.op_type} {node.name} has its scales on axis {axis}, not {wanted}"


def whole_pairs(graph: QdqGraph) -> Findings:
    """Rule 10: integers only between the halves of a pair, kernels in float in front of theirs, a fitting opset."""
    for node in graph.nodes:
        if node.op_type.startswith(_INTEGER_OPERATORS):
            yield node, f"{node.op_type} computes with integers by itself, which TensorRT does not have"
        elif node.op_type in (Q, DQ):
            found = _half_fault(graph, node) or _opset_fault(graph, node)
            if found:
                yield node, found


def _symmetric_fault(graph: QdqGraph, node: onnx.NodeProto) -> str | None:
    kind = graph.integer_type(node)
    if kind != TensorProto.INT8:
        return f"its integers are {_TYPE_NAMES.get(kind, kind)}, not int8"
    zero = graph.constant(node.input[2]) if len(node.input) > 2 and node.input[2] else None
    if zero is not None and zero.any():
        return f"its zero point is {int(zero.ravel()[np.flatnonzero(zero)[0]])}, not 0"
    scale = graph.scale(node)
    if scale is None:
        return "its scale is computed by the graph, not a constant"
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        return f"its scale has {float(scale.min()):g}; a scale is a positive number"
    return None


def _granularity_fault(graph: QdqGraph, node: onnx.NodeProto, kernels: Mapping[str, int]) -> str | None:
    scale = graph.scale(node)
    assert scale is not None  # or the fault before was found
    wanted = kernels.get(node.output[0])
    if wanted is None:
        return f"an activation has {scale.size} scales, one is allowed" if scale.size > 1 else None
    if scale.size == wanted and (scale.ndim == 1 or wanted == 1):
        return None
    return f"a kernel of {wanted} output channels has scales of shape {list(scale.shape)}, one for each is wanted"


def _channels(graph: QdqGraph, node: onnx.NodeProto, half: onnx.NodeProto) -> int:
    """Output channels of an operator by the kernel in this half of its pair."""
    shape = graph.shape(half.input[0])
    assert shape is not None  # a constant's
    return shape[_output_axis(node, len(shape))]


def _kernel_halves(graph: QdqGraph, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """The Q and DQ nodes that an operator's constant kernel comes through."""
    halves: list[onnx.NodeProto] = []
    if node.op_type not in MATMULS or not graph.is_constant(node.input[1]):
        return halves
    name = node.input[1]
    while graph.maker(name) in (Q, DQ):
        halves.append(graph.makers[name])
        name = graph.makers[name].input[0]
    return halves


def _output_axis(node: onnx.NodeProto, rank: int) -> int:
    if node.op_type == "Gemm":
        return 0 if attribute(node, "transB", 0) else 1
    return CONVS.get(node.op_type, rank - 1)


def _is_bias(graph: QdqGraph, node: onnx.NodeProto) -> bool:
    """Whether half a pair is a bias's, which is rule 3's."""
    tensors = [node.output[0]]
    if node.op_type == Q:
        tensors = [half.output[0] for half in graph.readers.get(node.output[0], []) if half.op_type == DQ]
    readers = [(reader, name) for name in tensors for reader in graph.readers.get(name, [])]
    return bool(readers) and all(name in reader.input[2:] and reader.op_type in MATMULS for reader, name in readers)


def _half_fault(graph: QdqGraph, node: onnx.NodeProto) -> str | None:
    if node.op_type == Q:
        others = [reader for reader in graph.readers.get(node.output[0], []) if reader.op_type != DQ]
        return f"its integers go to {others[0].op_type} {others[0].name} without a DequantizeLinear" if others else None
    name = node.input[0]
    if graph.maker(name) == Q:
        ours, theirs = graph.scale(node), graph.scale(graph.makers[name])
        if ours is not None and theirs is not None and not np.array_equal(ours, theirs, equal_nan=True):
            return f"its scale is not that of its QuantizeLinear {graph.makers[name].name}"
        return None
    if _is_bias(graph, node):
        return None
    if graph.is_constant(name):
        return f"it reads integers that are stored ({name}); TensorRT up to 10 wants a float kernel and a whole pair"
    return f"it reads integers that no QuantizeLinear made ({graph.maker(name) or 'an input of the graph'})"


def _opset_fault(graph: QdqGraph, node: onnx.NodeProto) -> str | None:
    scale = graph.scale(node)
    if scale is None:
        return None
    if scale.size > 1 and graph.opset < _PER_CHANNEL_OPSET:
        return f"it has a scale for each channel in opset {graph.opset}; they came with opset {_PER_CHANNEL_OPSET}"
    if scale.dtype == np.float16 and graph.opset < _HALF_SCALES_OPSET:
        return f"its scale is float16 in opset {graph.opset}; that came with opset {_HALF_SCALES_OPSET}"
    return None
