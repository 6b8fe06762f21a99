"""The operators of a TensorFlow Lite graph in ONNX's words, as far as the end of a network needs them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper

from edgeseg.export.tflite import flatbuffer

_WORDS = {
    **{"LOGISTIC": "Sigmoid", "SOFTMAX": "Softmax", "LOG_SOFTMAX": "LogSoftmax", "ARG_MAX": "ArgMax"},
    **{"RESHAPE": "Reshape", "SQUEEZE": "Squeeze", "EXPAND_DIMS": "Unsqueeze", "TRANSPOSE": "Transpose"},
    # They change how a number is stored; its order stays.
    **{"CAST": "Cast", "QUANTIZE": "Cast", "DEQUANTIZE": "Cast"},
    **{"GREATER": "Greater", "GREATER_EQUAL": "GreaterOrEqual", "LESS": "Less", "LESS_EQUAL": "LessOrEqual"},
    **{"MUL": "Mul", "DIV": "Div", "ADD": "Add", "SUB": "Sub", "NEG": "Neg", "LOG": "Log", "ROUND": "Round"},
    **{"RESIZE_BILINEAR": "Resize", "RESIZE_NEAREST_NEIGHBOR": "Resize", "CONCATENATION": "Concat"},
    **{"SLICE": "Slice", "STRIDED_SLICE": "Slice", "GATHER": "Gather", "PAD": "Pad", "EXP": "Exp"},
}
_SMALL = 64  # values of a constant that says something by itself
_TYPES = {
    schema.TensorType.FLOAT32: TensorProto.FLOAT,
    schema.TensorType.FLOAT16: TensorProto.FLOAT16,
    schema.TensorType.UINT8: TensorProto.UINT8,
    schema.TensorType.INT8: TensorProto.INT8,
    schema.TensorType.INT16: TensorProto.INT16,
    schema.TensorType.INT32: TensorProto.INT32,
    schema.TensorType.INT64: TensorProto.INT64,
    schema.TensorType.BOOL: TensorProto.BOOL,
}


def graph_of(model: Any, names: list[str]) -> onnx.ModelProto:
    """The main graph of a file in ONNX's words; what has none there keeps its own, in a domain of its own.

    Integers that stand for real values are such to the reader: tensors with a scale are floats.

    Args:
        model: From `flatbuffer.read`.
        names: Of its tensors, no two alike.
    """
    graph = model.subgraphs[0]
    nodes = [_node(model, operator, names, index) for index, operator in enumerate(graph.operators)]
    made = {int(index) for operator in graph.operators for index in operator.outputs}
    read = {int(index) for operator in graph.operators for index in operator.inputs if index >= 0}
    constants = [_constant(model, index, names[index]) for index in sorted(read - made - set(map(int, graph.inputs)))]
    enters, leaves = (
        [_value(graph.tensors[index], names[index]) for index in side] for side in (graph.inputs, graph.outputs)
    )
    return helper.make_model(helper.make_graph(nodes, "tflite", enters, leaves, constants))


def scale_of(tensor: Any) -> tuple[float, int] | None:
    """Scale and zero point of a tensor that has one of each, or None."""
    its = tensor.quantization
    if its is None or its.scale is None or len(its.scale) != 1 or not its.scale[0]:
        return None
    zeros = its.zeroPoint
    return float(its.scale[0]), 0 if zeros is None or not len(zeros) else int(zeros[0])


def dims_of(tensor: Any) -> list[int | None]:
    """Sizes of a tensor; None where the file leaves one open."""
    sizes = tensor.shapeSignature if tensor.shapeSignature is not None else tensor.shape
    return [int(size) if size > 0 else None for size in (() if sizes is None else sizes)]


def _node(model: Any, operator: Any, names: list[str], index: int) -> onnx.NodeProto:
    kind = flatbuffer.operator_name(model, operator)
    reads = [names[int(one)] if one >= 0 else "" for one in operator.inputs]
    makes = [names[int(one)] for one in operator.outputs]
    fused = getattr(operator.builtinOptions, "fusedActivationFunction", 0)
    word = _WORDS.get(kind)
    if word is None or fused:
        own = kind if kind != "CUSTOM" else model.operatorCodes[operator.opcodeIndex].customCode.decode()
        return helper.make_node(own, reads, makes, f"{own}_{index}", domain="tflite")
    attributes: dict[str, Any] = {}
    if word in ("Softmax", "LogSoftmax"):
        attributes["axis"] = -1
    elif word == "ArgMax":
        axis = integers(model, int(operator.inputs[1]))
        attributes["axis"] = -1 if axis is None else int(axis.reshape(-1)[0])
    return helper.make_node(word, reads, makes, f"{kind}_{index}", **attributes)


def integers(model: Any, index: int) -> np.ndarray | None:
    """Content of a constant of whole numbers; None for another tensor."""
    tensor = model.subgraphs[0].tensors[index]
    kinds = {schema.TensorType.INT32: np.int32, schema.TensorType.INT64: np.int64}
    data = model.buffers[tensor.buffer].data
    if data is None or len(data) == 0 or tensor.type not in kinds:
        return None
    return np.frombuffer(bytes(data), kinds[tensor.type])


def _constant(model: Any, index: int, name: str) -> TensorProto:
    found = flatbuffer.constant(model, index)
    found = integers(model, index) if found is None else found
    if found is not None and found.size <= _SMALL:
        return numpy_helper.from_array(found, name)
    return TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[_SMALL + 1])


def _value(tensor: Any, name: str) -> onnx.ValueInfoProto:
    kind = TensorProto.FLOAT if scale_of(tensor) else _TYPES.get(tensor.type, TensorProto.UNDEFINED)
    return helper.make_tensor_value_info(name, kind, [size if size else "?" for size in dims_of(tensor)])
