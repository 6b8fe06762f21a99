"""Reading, shortening and writing TFLite flatbuffers."""

from __future__ import annotations

import copy
from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
from ai_edge_litert import schema_py_generated as schema

INPUT = "image"
OUTPUT = "scores"
_IDENTIFIER = b"TFL3"
# By operator: which inputs are the activation, the kernel and the bias, and the kernel's axis of output channels.
KERNELS = {"CONV_2D": (0, 1, 2, 0), "DEPTHWISE_CONV_2D": (0, 1, 2, 3), "TRANSPOSE_CONV": (2, 1, 3, 0)}
_OPERATORS = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
_FLOAT = schema.TensorType.FLOAT32


def read(content: bytes) -> Any:
    """Decode a file into the schema's object tree (`ModelT`)."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    for buffer in model.buffers:
        if buffer.offset > 1:  # some writers put large constants behind the flatbuffer proper
            buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return model


def write(model: Any) -> bytes:
    """Encode a `ModelT`."""
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def shorten(model: Any) -> None:
    """Give tensors short names and drop metadata.

    The converter names a tensor after all modules fused into it, 300 bytes each: more than the kernels of a small
    student. Activations are numbered `t0`, `t1`, ... and constants `c0`, ...; the ends are `image` and `scores`.
    """
    graph = model.subgraphs[0]
    made = {int(index) for op in graph.operators for index in op.outputs}
    for number, tensor in enumerate(graph.tensors):
        tensor.name = (f"t{number}" if number in made else f"c{number}").encode()
    graph.tensors[graph.inputs[0]].name = INPUT.encode()
    graph.tensors[graph.outputs[0]].name = OUTPUT.encode()
    graph.name = b"edgeseg"
    model.description = b"edgeseg"
    model.metadata = []
    for signature in model.signatureDefs or []:
        for maps, name in ((signature.inputs, INPUT), (signature.outputs, OUTPUT)):
            maps[0].name = name.encode()


def without_cast(model: Any) -> None:
    """Take out the leading cast of uint8 pixels, so that the float graph begins with its first convolution.

    The integer file needs no cast: its int8 input (pixel - 128, scale 1, zero point -128) means the same numbers.
    """
    graph = model.subgraphs[0]
    first = graph.operators[0]
    if operator_name(model, first) != "CAST" or first.inputs[0] != graph.inputs[0]:
        return
    graph.operators = graph.operators[1:]
    _enter_at(model, int(first.outputs[0]))


def operator_name(model: Any, operator: Any) -> str:
    """Name of an operator, such as `CONV_2D`."""
    code = model.operatorCodes[operator.opcodeIndex]
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    return _OPERATORS[number]


def tensor_name(graph: Any, index: int) -> str:
    """Name of a tensor."""
    name: bytes = graph.tensors[index].name
    return name.decode()


def constant(model: Any, index: int) -> np.ndarray | None:
    """Content of a constant float tensor; None for an activation or another type."""
    tensor = model.subgraphs[0].tensors[index]
    data = model.buffers[tensor.buffer].data
    if data is None or len(data) == 0 or tensor.type != _FLOAT:
        return None
    return np.frombuffer(bytes(data), np.float32).reshape(tensor.shape)


def replace_constant(model: Any, operator: Any, slot: int, array: np.ndarray) -> None:
    """Write a float constant that one operator reads; others that share it keep the old one."""
    graph = model.subgraphs[0]
    index = int(operator.inputs[slot])
    tensor = graph.tensors[index]
    readers = sum(int((np.asarray(each.inputs) == index).sum()) for each in graph.operators)
    if readers > 1 or sum(each.buffer == tensor.buffer for each in graph.tensors) > 1:
        tensor = copy.copy(tensor)
        tensor.name += f".{len(graph.tensors)}".encode()
        tensor.buffer = len(model.buffers)
        model.buffers.append(schema.BufferT())
        operator.inputs = np.array(operator.inputs)
        operator.inputs[slot] = len(graph.tensors)
        graph.tensors.append(tensor)
    content = np.ascontiguousarray(array, np.float32).tobytes()
    model.buffers[tensor.buffer].data = np.frombuffer(content, np.uint8)


def _enter_at(model: Any, index: int) -> None:
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].name = b"pixels"
    graph.tensors[index].name = INPUT.encode()
    graph.inputs = np.array([index], np.int32)
    for signature in model.signatureDefs or []:
        signature.inputs[0].tensorIndex = index
