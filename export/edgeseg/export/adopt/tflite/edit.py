"""Operators put in front of a TensorFlow Lite graph or behind it, and the part of it that makes one tensor."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

_OP, _OPTIONS = schema.BuiltinOperator, schema.BuiltinOptions
_TENSOR_TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.uint8): schema.TensorType.UINT8,
    np.dtype(np.int8): schema.TensorType.INT8,
}
# Operator, kind of its options, and those.
_KINDS: dict[str, tuple[int, int, Any]] = {
    "CAST": (_OP.CAST, _OPTIONS.CastOptions, schema.CastOptionsT),
    "MUL": (_OP.MUL, _OPTIONS.MulOptions, schema.MulOptionsT),
    "ADD": (_OP.ADD, _OPTIONS.AddOptions, schema.AddOptionsT),
    "TRANSPOSE": (_OP.TRANSPOSE, _OPTIONS.TransposeOptions, schema.TransposeOptionsT),
    "RESHAPE": (_OP.RESHAPE, _OPTIONS.ReshapeOptions, schema.ReshapeOptionsT),
    "QUANTIZE": (_OP.QUANTIZE, _OPTIONS.QuantizeOptions, schema.QuantizeOptionsT),
    "DEQUANTIZE": (_OP.DEQUANTIZE, _OPTIONS.DequantizeOptions, schema.DequantizeOptionsT),
}


@dataclass
class Edit:
    """A graph that is changed; the file it came from is not.

    Attributes:
        model: The changed object tree.
    """

    model: Any
    _n_front: int = 0

    @classmethod
    def of(cls, model: Any) -> Edit:
        """Copy what is going to be changed: lists, not weights."""
        own = copy.copy(model)
        own.subgraphs = list(model.subgraphs)
        graph = own.subgraphs[0] = copy.copy(model.subgraphs[0])
        graph.tensors, graph.operators = list(graph.tensors), list(graph.operators)
        own.buffers, own.operatorCodes = list(model.buffers), list(model.operatorCodes)
        # Both speak of the ends that the file had.
        own.signatureDefs, own.metadata = [], []
        return cls(own)

    @property
    def graph(self) -> Any:
        """The main graph (`SubGraphT`)."""
        return self.model.subgraphs[0]

    def keep(self, *indices: int) -> None:
        """Leave only what some tensors are made from; the engine would run the rest too, or refuse the file for it."""
        wanted, kept = set(indices), []
        for operator in reversed(self.graph.operators):
            if wanted & set(map(int, operator.outputs)):
                wanted |= {int(one) for one in operator.inputs if one >= 0}
                kept.append(operator)
        self.graph.operators = kept[::-1]

    def tensor(self, name: str, shape: tuple[int, ...], kind: int, quantization: Any = None) -> int:
        """Add an activation; its index."""
        made = schema.TensorT()
        made.name, made.shape, made.type, made.buffer = name.encode(), list(shape), kind, 0
        made.quantization = quantization
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def constant(self, name: str, values: np.ndarray) -> int:
        """Add a constant; its index."""
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        index = self.tensor(name, values.shape, _TENSOR_TYPES[values.dtype])
        self.graph.tensors[index].buffer = len(self.model.buffers) - 1
        return index

    def in_front(self, kind: str, inputs: list[int], output: int) -> None:
        """Add an operator before all others, behind those added so before."""
        self.graph.operators.insert(self._n_front, self._operator(kind, inputs, output))
        self._n_front += 1

    def behind(self, kind: str, inputs: list[int], output: int) -> None:
        """Add an operator behind all others."""
        self.graph.operators.append(self._operator(kind, inputs, output))

    def _operator(self, kind: str, inputs: list[int], output: int) -> Any:
        code, options_kind, options = _KINDS[kind]
        made = schema.OperatorT()
        made.opcodeIndex = self._opcode(code)
        made.inputs, made.outputs = inputs, [output]
        made.builtinOptionsType, made.builtinOptions = options_kind, options()
        if kind == "CAST":
            types = [self.graph.tensors[index].type for index in (inputs[0], output)]
            made.builtinOptions.inDataType, made.builtinOptions.outDataType = types
        if kind == "RESHAPE":
            made.builtinOptions.newShape = list(self.graph.tensors[output].shape)
        return made

    def _opcode(self, builtin: int) -> int:
        for index, code in enumerate(self.model.operatorCodes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == builtin:
                return index
        made = schema.OperatorCodeT()
        made.builtinCode = made.deprecatedBuiltinCode = builtin
        made.version = 1
        self.model.operatorCodes.append(made)
        return len(self.model.operatorCodes) - 1
