"""Foreign TensorFlow Lite networks whose masks are known, made operator by operator."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from .foreign_cases import HEIGHT, WIDTH, head

OP, OPTIONS, TYPE = schema.BuiltinOperator, schema.BuiltinOptions, schema.TensorType
TYPES = {np.float32: TYPE.FLOAT32, np.int32: TYPE.INT32, np.int64: TYPE.INT64, np.int8: TYPE.INT8}
TYPES |= {np.uint8: TYPE.UINT8, np.float16: TYPE.FLOAT16, np.int16: TYPE.INT16}
Affine = tuple[float, int]
SHAPE = (1, HEIGHT, WIDTH, 1)


class Graph:
    """Tensors by name, operators in their order."""

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.version, self.model.buffers = 3, [schema.BufferT()]
        self.model.operatorCodes = []
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.names: dict[str, int] = {}

    def tensor(
        self, name: str, shape: Sequence[int], kind: Any = np.float32, affine: Affine | None = None, **more: Any
    ) -> str:
        made = schema.TensorT()
        made.name, made.shape, made.type, made.buffer = name.encode(), list(map(abs, shape)), TYPES[kind], 0
        if min(shape, default=1) < 0:  # an open size is 1 in the shape and -1 in its signature
            made.shapeSignature = list(shape)
        if affine is not None:
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale, made.quantization.zeroPoint = [affine[0]], [affine[1]]
        values = more.get("values")
        if values is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            made.buffer = len(self.model.buffers) - 1
        self.names[name] = len(self.graph.tensors)
        self.graph.tensors.append(made)
        return name

    def constant(self, name: str, values: np.ndarray) -> str:
        return self.tensor(name, values.shape, values.dtype.type, values=values)

    def op(self, kind: str, reads: Sequence[str], makes: str, **fields: Any) -> str:
        code = schema.OperatorCodeT()
        custom = kind not in vars(OP)
        code.builtinCode = OP.CUSTOM if custom else vars(OP)[kind]
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
        code.customCode = kind.encode() if custom else None
        self.model.operatorCodes.append(code)
        made = schema.OperatorT()
        made.opcodeIndex = len(self.model.operatorCodes) - 1
        made.inputs, made.outputs = [self.names[one] for one in reads], [self.names[makes]]
        name = {"CONV_2D": "Conv2D", "ARG_MAX": "ArgMax", "CUSTOM": ""}.get(kind, kind.title().replace("_", ""))
        options = getattr(schema, f"{name}OptionsT", None)
        if options is not None and not custom:
            made.builtinOptionsType, made.builtinOptions = getattr(OPTIONS, f"{name}Options"), options()
            for key, value in fields.items():
                setattr(made.builtinOptions, key, value)
        self.graph.operators.append(made)
        return makes

    def write(self, path: Path, inputs: Sequence[str], outputs: Sequence[str]) -> Path:
        self.graph.inputs = [self.names[one] for one in inputs]
        self.graph.outputs = [self.names[one] for one in outputs]
        self.model.subgraphs = [self.graph]
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), file_identifier=b"TFL3")
        path.write_bytes(bytes(builder.Output()))
        return path


def logits(graph: Graph, image: str, planes: int, channels: int = 1) -> str:
    """From an image (1, H, W, C) of 0..1 to the logits `l`: the network of `foreign_cases.head`."""
    _, weights = head(planes, channels)
    graph.constant("w1", weights["w1"].transpose(0, 2, 3, 1))
    graph.constant("b1", np.zeros(4, np.float32))
    graph.constant("w2", weights["w2"].transpose(0, 2, 3, 1))
    graph.constant("b2", weights["b2"])
    graph.tensor("a", (1, HEIGHT, WIDTH, 4))
    graph.tensor("l", (1, HEIGHT, WIDTH, planes))
    strides = {"strideH": 1, "strideW": 1}
    graph.op("CONV_2D", (image, "w1", "b1"), "a", fusedActivationFunction=1, **strides)
    return graph.op("CONV_2D", ("a", "w2", "b2"), "l", **strides)
