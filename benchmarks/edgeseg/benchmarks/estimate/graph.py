"""The layers of an ONNX file at one input size: their multiply-accumulates and the values they read and write."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.runtime.errors import MeasureError

# Every engine folds these into the layer before, or they move no value.
_FREE = {
    *("Relu", "Clip", "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Shape", "Constant", "Dropout"),
    *("BatchNormalization", "Gather", "Slice", "Cast", "QuantizeLinear", "DequantizeLinear", "ConstantOfShape"),
}


@dataclass(frozen=True)
class Layer:
    """One layer: its operator, multiply-accumulates, activation values read and written, and weights."""

    op: str
    macs: int
    activations: int
    weights: int


def layers_of(path: Path, image: Sequence[int]) -> list[Layer]:
    """Count the layers.

    Args:
        path: An ONNX file with one image input.
        image: Shape of that input, batch included.

    Raises:
        MeasureError: onnx is not installed, or the file's shapes do not follow from that of its input.
    """
    try:
        import onnx
        from onnx import shape_inference
    except ImportError as error:
        raise MeasureError("an estimate reads the layers of an ONNX file: pip install onnx") from error
    try:
        model = onnx.load(str(path))
        (given,) = [one for one in model.graph.input if one.name not in {w.name for w in model.graph.initializer}]
        dims = given.type.tensor_type.shape.dim
        if len(dims) != len(image):
            raise ValueError(f"its input has {len(dims)} dimensions, the image {len(image)}")
        for dim, size in zip(dims, image, strict=True):
            dim.dim_value = size
        for output in model.graph.output:  # names of open sizes would contradict the given ones
            output.type.tensor_type.ClearField("shape")
        graph = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    except Exception as error:  # protobuf, checker and shape errors share no base
        raise MeasureError(f"the layers of {path.name} cannot be counted: {error}") from error
    return _counted(graph, path)


def _counted(graph: Any, path: Path) -> list[Layer]:
    weights = {w.name: tuple(w.dims) for w in graph.initializer}
    shapes = {
        one.name: tuple(dim.dim_value for dim in one.type.tensor_type.shape.dim)
        for one in (*graph.input, *graph.value_info, *graph.output)
    }
    layers = []
    for node in graph.node:
        if node.op_type in _FREE:
            continue
        ins = [name for name in node.input if name and name not in weights]
        unknown = [name for name in (*ins, *node.output) if not all(shapes.get(name, (0,)))]
        if unknown and node.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
            raise MeasureError(f"the layers of {path.name} cannot be counted: the shape of {unknown[0]} is not known")
        values = sum(math.prod(shapes.get(name, (0,))) for name in (*ins, *node.output))
        own = [weights[name] for name in node.input if name in weights]
        layers.append(Layer(node.op_type, _macs(node, shapes, weights), values, sum(map(math.prod, own))))
    return layers


def _macs(node: Any, shapes: dict[str, tuple[int, ...]], weights: dict[str, tuple[int, ...]]) -> int:
    """Of a convolution: output values x kernel x input channels of a group; transposed: of its input values."""
    kernel = weights.get(node.input[1], shapes.get(node.input[1], ())) if len(node.input) > 1 else ()
    if node.op_type == "Conv":
        return math.prod(shapes[node.output[0]]) * math.prod(kernel[1:])
    if node.op_type == "ConvTranspose":
        return math.prod(shapes[node.input[0]]) * math.prod(kernel[1:])
    if node.op_type in ("Gemm", "MatMul"):
        inner = shapes[node.input[0]][-1]
        return math.prod(shapes[node.output[0]]) * inner
    return 0
