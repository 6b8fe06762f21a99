"""A Q/DQ graph as the rules see it: which tensors come from integers, with which numbers, and who reads them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from edgeseg.export.onnx.placement import CONVS

Q, DQ = "QuantizeLinear", "DequantizeLinear"
MATMULS = frozenset({*CONVS, "Gemm", "MatMul"})  # computed in integers: the operators with a kernel


class Violation(NamedTuple):
    """One rule broken at one node.

    Attributes:
        rule: Number of the rule.
        node: Its name, or operator and result where it has none.
        message: What was found.
        remedy: What to do.
    """

    rule: int
    node: str
    message: str
    remedy: str


Findings = Iterator[tuple[onnx.NodeProto, str]]  # the node, and what was found there


@dataclass(frozen=True)
class QdqGraph:
    """Lookups over a model whose functions are inlined. Nothing in it is modified."""

    model: onnx.ModelProto

    @cached_property
    def nodes(self) -> list[onnx.NodeProto]:
        """In the file's order."""
        return list(self.model.graph.node)

    @cached_property
    def opset(self) -> int:
        """Of ONNX's own operators."""
        return next((one.version for one in self.model.opset_import if one.domain in ("", "ai.onnx")), 0)

    @cached_property
    def outputs(self) -> set[str]:
        """Names of the graph's results."""
        return {value.name for value in self.model.graph.output}

    @cached_property
    def makers(self) -> dict[str, onnx.NodeProto]:
        """The node that makes a tensor."""
        return {name: node for node in self.nodes for name in node.output if name}

    @cached_property
    def readers(self) -> dict[str, list[onnx.NodeProto]]:
        """The nodes that read a tensor."""
        found: dict[str, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.input):
                found.setdefault(name, []).append(node)
        return found

    @cached_property
    def _constants(self) -> dict[str, TensorProto]:
        found = {tensor.name: tensor for tensor in self.model.graph.initializer}
        for node in self.nodes:
            value = next((one.t for one in node.attribute if one.name == "value"), None)
            if node.op_type == "Constant" and value is not None:
                found[node.output[0]] = value
        return found

    def maker(self, name: str) -> str:
        """Operator that makes a tensor; "" for inputs and constants."""
        return self.makers[name].op_type if name in self.makers else ""

    def is_constant(self, name: str) -> bool:
        """Whether a tensor is known when the file is read, through pairs too."""
        if name in self._constants:
            return True
        return self.maker(name) in (Q, DQ) and self.is_constant(self.makers[name].input[0])

    def constant(self, name: str) -> np.ndarray | None:
        """Value of a constant, or None where the graph computes it."""
        return numpy_helper.to_array(self._constants[name]) if name in self._constants else None

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Shape of a constant, through pairs too, or None."""
        if name in self._constants:
            return tuple(self._constants[name].dims)
        return self.shape(self.makers[name].input[0]) if self.maker(name) in (Q, DQ) else None

    def behind_pair(self, name: str) -> bool:
        """Whether a tensor comes from integers."""
        return self.maker(name) == DQ

    def source(self, name: str) -> str:
        """The float tensor in front of the pairs that a tensor comes through; itself where there are none."""
        while self.maker(name) in (Q, DQ):
            name = self.makers[name].input[0]
        return name

    def scale(self, node: onnx.NodeProto) -> np.ndarray | None:
        """Scale of half a pair, or None where the graph computes it."""
        return self.constant(node.input[1])

    def integer_type(self, node: onnx.NodeProto) -> int:
        """Element type on the integer side of half a pair."""
        zero = node.input[2] if len(node.input) > 2 else ""
        if zero in self._constants:
            return int(self._constants[zero].data_type)
        if node.op_type == DQ:
            name = node.input[0]
            if name in self._constants:
                return int(self._constants[name].data_type)
            return self.integer_type(self.makers[name]) if self.maker(name) == Q else int(TensorProto.UNDEFINED)
        return attribute(node, "output_dtype", 0) or int(TensorProto.UINT8)  # ONNX's own default

    def pairs_behind(self, name: str) -> list[onnx.NodeProto]:
        """The quantisers that read a tensor."""
        return [node for node in self.readers.get(name, []) if node.op_type == Q]

    def through_pairs(self, quantiser: onnx.NodeProto) -> list[onnx.NodeProto]:
        """What reads the float side of a pair, by its quantiser."""
        halves = [node for node in self.readers.get(quantiser.output[0], []) if node.op_type == DQ]
        return [reader for half in halves for reader in self.readers.get(half.output[0], [])]

    def in_integers(self, node: onnx.NodeProto) -> bool:
        """Whether an operator with a kernel is computed in integers: input and kernel both come from them."""
        return node.op_type in MATMULS and all(self.behind_pair(name) for name in node.input[:2])


def attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    """A whole number among a node's attributes, or the default."""
    return next((int(one.i) for one in node.attribute if one.name == name), default)


def name_of(node: onnx.NodeProto) -> str:
    """What a node is called in messages."""
    return node.name or f"{node.op_type} -> {node.output[0]}"
