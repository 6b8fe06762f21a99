"""The operators of a float ONNX graph that integers can compute, each with what belongs to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper

_HEADS = {
    *("Conv", "ConvTranspose", "Gemm", "MatMul"),
    *("Add", "Mul", "Concat", "Resize", "MaxPool", "AveragePool", "GlobalAveragePool"),
    *("Sigmoid", "LeakyRelu", "Softmax"),
}
# They follow the operator before them into INT8, or are dropped.
_FOLLOWERS = {"Relu", "Clip", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten"}
_SHAPE_ARITHMETIC = {"Gather", "Slice", "Concat", "Unsqueeze"}
LAYER_TYPES = frozenset(_HEADS | _FOLLOWERS)
_SCALING = {"Cast", "Identity", "Transpose", "Mul", "Add", "Sub", "Div"}


@dataclass(frozen=True)
class OnnxLayer:
    """One layer: its operator, the nodes that follow it, the activations it reads and the one it makes."""

    head: onnx.NodeProto
    nodes: tuple[onnx.NodeProto, ...]
    reads: tuple[str, ...]
    makes: str

    @property
    def name(self) -> str:
        """The operator's name."""
        return str(self.head.name)

    @property
    def kind(self) -> str:
        """Its operator in lower case, or `depthwise`."""
        groups = next((one.i for one in self.head.attribute if one.name == "group"), 1)
        return "depthwise" if self.head.op_type == "Conv" and groups > 1 else str(self.head.op_type).lower()


def onnx_layers(model: onnx.ModelProto) -> tuple[OnnxLayer, ...]:
    """Layers in the order of the graph; arithmetic on constants, shapes or pixels is none."""
    constants = {one.name for one in model.graph.initializer}
    constants |= {node.output[0] for node in model.graph.node if node.op_type == "Constant"}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    shapes, scaling = _shape_arithmetic(model), pixel_arithmetic(model)
    layers = []
    for node in model.graph.node:
        reads = tuple(name for name in node.input if name and name not in constants and name not in shapes)
        if node.op_type not in _HEADS or not reads or node.output[0] in shapes or node.name in scaling:
            continue
        nodes = [node]
        while len(after := readers.get(nodes[-1].output[0], [])) == 1 and after[0].op_type in _FOLLOWERS:
            nodes.append(after[0])
        layers.append(OnnxLayer(node, tuple(nodes), reads, str(nodes[-1].output[0])))
    return tuple(layers)


def kernel_of(node: onnx.NodeProto, constants: Mapping[str, np.ndarray]) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Kernel, float32 (out, in, taps), and bias (out,) of an operator; None where it has none or computes it."""
    weight = constants.get(node.input[1]) if len(node.input) > 1 else None
    bias = constants.get(node.input[2]) if len(node.input) > 2 else None
    if weight is None or weight.ndim < 2 or node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
        return None, None
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    if node.op_type == "ConvTranspose":
        if attributes.get("group", 1) > 1:
            return None, None
        weight = np.swapaxes(weight, 0, 1)
    if node.op_type == "MatMul" or (node.op_type == "Gemm" and not attributes.get("transB", 0)):
        weight = weight.T
    return weight.reshape(*weight.shape[:2], -1), bias


def pixel_arithmetic(model: onnx.ModelProto) -> frozenset[str]:
    """Names of the nodes that scale uint8 pixels: in integers they would round the image before anything sees it."""
    constants = {one.name for one in model.graph.initializer}
    constants |= {node.output[0] for node in model.graph.node if node.op_type == "Constant"}
    made = {one.name for one in model.graph.input if one.type.tensor_type.elem_type == onnx.TensorProto.UINT8}
    names = set()
    for node in model.graph.node:
        if node.op_type in _SCALING and any(one in made for one in node.input) and set(node.input) <= made | constants:
            made |= set(node.output)
            names.add(str(node.name))
    return frozenset(names)


def _shape_arithmetic(model: onnx.ModelProto) -> set[str]:
    """Tensors computed from shapes alone: they are integers or sizes, never activations."""
    found: set[str] = set()
    for node in model.graph.node:
        inputs = [name for name in node.input if name]
        starts = node.op_type in ("Shape", "Size")
        goes_on = node.op_type in _SHAPE_ARITHMETIC and any(name in found for name in inputs)
        if starts or goes_on or (inputs and all(name in found for name in inputs)):
            found.update(node.output)
    return found
