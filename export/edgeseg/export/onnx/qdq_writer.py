"""A float ONNX graph written again in INT8: QuantizeLinear / DequantizeLinear pairs around its operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgeseg.compress.int8.plan import Affine, weight_scale
from edgeseg.export.onnx.placement import CLAMPS, CONVS, LAYOUT, MOVES, Placement

RAW = ".float"  # ends the name of a result that a placement with `results` rounds as soon as it is computed
_EPSILON = 1e-5  # relative; scales are rounded to float32


class QdqWriter:
    """Walks a float graph in order; an activation exists as float, as integer or both, each made when first asked for.

    Args:
        model: FP32 deploy graph, stripped. Not modified.
        placement: Where pairs go.
        affine_of: Scale and zero point of a tensor by name; raises ExportError where it has none.
        is_float: Whether the operator that makes this tensor stays in float.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        placement: Placement,
        affine_of: Callable[[str], Affine],
        is_float: Callable[[str], bool],
    ) -> None:
        self._model = model
        self._placement = placement
        self._affine_of = affine_of
        self._is_float = is_float
        self._constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self._pixels = {model.graph.input[0].name: model.graph.input[0].name}  # what holds pixels: their uint8 tensor
        self._output = model.graph.output[0].name
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, np.ndarray] = {}
        self._integers: dict[tuple[str, Affine], str] = {}
        self._results: dict[str, Affine] = {}  # tensors that exist as integers only
        self._floats: dict[tuple[str, Affine], str] = {}

    def write(self) -> onnx.ModelProto:
        """Return the quantised model; its output is an integer tensor if the head is quantised and results are.

        Raises:
            ExportError: If a tensor to be quantised has no range.
        """
        graph = self._model.graph
        nodes = self._without_implied_clamps(list(graph.node))
        for node in nodes:
            self._write_node(node, nodes)
        output = onnx.ValueInfoProto()
        output.CopyFrom(graph.output[0])
        if self._output in self._results:
            output.type.tensor_type.elem_type = self._type
        used = {name for node in self._nodes for name in node.input}
        constants = {name: array for name, array in self._constants.items() if name in used} | self._initializers
        written = helper.make_graph(
            self._nodes,
            "edgeseg",
            [graph.input[0]],
            [output],
            [numpy_helper.from_array(array, name) for name, array in constants.items()],
        )
        model = helper.make_model(written, opset_imports=list(self._model.opset_import), producer_name="edgeseg")
        model.ir_version = self._model.ir_version
        return model

    def _write_node(self, node: onnx.NodeProto, nodes: Sequence[onnx.NodeProto]) -> None:
        made, first = node.output[0], node.input[0]
        if first in self._pixels and node.op_type in {*LAYOUT, "Cast"} and self._placement.pixels:
            self._move_pixels(node)
        elif node.op_type in CONVS and self._fits(node):
            self._emit(node, [self._dequantised(first, self._affine(first)), *self._kernel(node)])
        elif node.op_type == "Add" and self._fits(node):
            self._emit(node, self._operands(node, nodes))
        elif node.op_type in MOVES and self._fits(node):
            self._emit(node, self._moved(node))
        else:
            kept = helper.make_node(node.op_type, [self._as_float(name) for name in node.input], [made], node.name)
            kept.attribute.extend(node.attribute)
            self._nodes.append(kept)

    # -- operators

    def _move_pixels(self, node: onnx.NodeProto) -> None:
        """The image, cast to float or in another layout: its own integers, moved."""
        made, integers = node.output[0], self._pixels[node.input[0]]
        if node.op_type != "Cast":
            moved = helper.make_node(node.op_type, [integers, *node.input[1:]], [f"{made}.int"], node.name)
            moved.attribute.extend(node.attribute)
            self._nodes.append(moved)
            integers = moved.output[0]
        self._pixels[made] = self._integers[made, Affine(1.0, 0)] = integers
        self._results[made] = Affine(1.0, 0)

    def _fits(self, node: onnx.NodeProto) -> bool:
        """Whether the operator is to be computed in integers."""
        return not self._is_float(node.output[0]) and self._placement.takes(node, self._constants)

    def _kernel(self, node: onnx.NodeProto) -> list[str]:
        """Kernel and bias, quantised per output channel."""
        made, axis = node.output[0], CONVS[node.op_type]
        weight = self._constants[node.input[1]]
        bias = self._constants[node.input[2]] if len(node.input) > 2 else None
        source = self._affine(node.input[0])
        scale = weight_scale(weight, bias, source.scale, axis)
        shape = [-1 if i == axis else 1 for i in range(weight.ndim)]
        # Of its own, equal or not: ONNX Runtime moves both where it must (see backends/ort.py).
        zero = self._constant(f"{made}.w_zero", np.zeros(len(scale), np.int8))
        scales = self._constant(f"{made}.w_scale", scale)
        if self._placement.float_weights:
            kernel = self._add("QuantizeLinear", [node.input[1], scales, zero], f"{made}.w_int", axis=axis)
        else:
            integers = np.clip(np.rint(weight / scale.reshape(shape)), -127, 127).astype(np.int8)
            kernel = self._constant(f"{made}.w_int", integers)
        names = [self._add("DequantizeLinear", [kernel, scales, zero], f"{made}.w", axis=axis)]
        if bias is not None and self._placement.biases:
            steps = (np.float32(source.scale) * scale).astype(np.float32)
            integer = self._constant(f"{made}.b_int", np.rint(bias / steps.astype(np.float64)).astype(np.int32))
            step = self._constant(f"{made}.b_scale", steps)
            names.append(self._add("DequantizeLinear", [integer, step], f"{made}.b", axis=0))
        elif bias is not None:
            names.append(node.input[2])
        return names

    def _operands(self, node: onnx.NodeProto, nodes: Sequence[onnx.NodeProto]) -> list[str]:
        if not self._placement.skip_only:
            return [self._dequantised(name, self._affine(name)) for name in node.input]
        makers = {each.output[0]: each.op_type for each in nodes}
        # The operand straight from a convolution stays bare, so that the engine fuses convolution and addition.
        bare = next((name for name in node.input if makers.get(name) in CONVS), node.input[1])
        return [name if name == bare else self._dequantised(name, self._affine(name)) for name in node.input]

    def _moved(self, node: onnx.NodeProto) -> list[str]:
        if node.op_type != "Concat":
            return [self._dequantised(node.input[0], self._affine(node.input[0])), *node.input[1:]]
        shared = self._affine(node.output[0]) if self._placement.one_scale_concat else None
        return [self._dequantised(name, shared or self._affine(name)) for name in node.input]

    def _emit(self, node: onnx.NodeProto, inputs: list[str]) -> None:
        made = node.output[0]
        raw = f"{made}{RAW}" if self._placement.results else made
        written = helper.make_node(node.op_type, inputs, [raw], node.name)
        written.attribute.extend(node.attribute)
        self._nodes.append(written)
        if self._placement.results:
            affine = self._affine_of(made)
            name = made if made == self._output else f"{made}.int"
            self._integers[made, affine] = self._pair("QuantizeLinear", raw, affine, name)
            self._results[made] = affine

    # -- tensors

    def _affine(self, name: str) -> Affine:
        return self._results[name] if name in self._results else self._affine_of(name)

    def _as_float(self, name: str) -> str:
        """The tensor for an operator kept in float: as it was made, or read back from its integers."""
        return self._dequantised(name, self._results[name]) if name in self._results else name

    def _dequantised(self, name: str, affine: Affine) -> str:
        """The tensor behind a pair of this scale."""
        if (name, affine) not in self._floats:
            self._floats[name, affine] = self._pair(
                "DequantizeLinear", self._quantised(name, affine), affine, f"{name}.dq{len(self._floats)}"
            )
        return self._floats[name, affine]

    def _quantised(self, name: str, affine: Affine) -> str:
        if (name, affine) not in self._integers:
            made = f"{name}.int{len(self._integers)}"
            self._integers[name, affine] = self._pair("QuantizeLinear", self._as_float(name), affine, made)
        return self._integers[name, affine]

    def _pair(self, operator: str, source: str, affine: Affine, made: str) -> str:
        """Half a pair: one Q or DQ node; scales are named by their value, since many tensors share one."""
        zero = np.array(affine.zero_point, self._placement.activation)
        scale = np.array(affine.scale, np.float32)
        scale_name = self._constant(f"scale_{scale.tobytes().hex()}", scale)
        return self._add(operator, [source, scale_name, self._constant(f"zero_{zero.dtype.char}{zero}", zero)], made)

    def _add(self, operator: str, inputs: list[str], made: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(operator, inputs, [made], **attributes))
        return made

    def _constant(self, name: str, array: np.ndarray) -> str:
        self._initializers[name] = array
        return name

    @property
    def _type(self) -> int:
        return helper.np_dtype_to_tensor_dtype(np.dtype(self._placement.activation))

    # -- clamps

    def _without_implied_clamps(self, nodes: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
        """Drop each ReLU / ReLU6 whose integers cannot hold a value outside it: saturation clamps for free."""
        readers: dict[str, int] = {}
        for node in nodes:
            for name in node.input:
                readers[name] = readers.get(name, 0) + 1
        makers = {node.output[0]: node for node in nodes}
        renamed: dict[str, str] = {}
        for node in nodes:
            maker = makers.get(node.input[0])
            if node.op_type not in CLAMPS or maker is None or readers[node.input[0]] != 1:
                continue
            computed = maker.op_type in {*CONVS, "Add"} and self._fits(maker) and not self._is_float(node.output[0])
            if computed and self._placement.results and self._implied(node):
                renamed[maker.output[0]] = node.output[0]
        kept = []
        for node in nodes:
            if node.input[0] in renamed and node.op_type in CLAMPS:
                continue
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.output[0] = renamed.get(node.output[0], node.output[0])
            kept.append(copy)
        return kept

    def _implied(self, node: onnx.NodeProto) -> bool:
        affine = self._affine_of(node.output[0])
        low, high = -affine.zero_point * affine.scale, (255 - affine.zero_point) * affine.scale
        bounds = [0.0, np.inf]
        if node.op_type == "Clip":
            given = [self._constants[name] if name else None for name in node.input[1:]]
            bounds = [
                float(value) if value is not None else b for value, b in zip(given, (-np.inf, np.inf), strict=True)
            ]
        return low >= bounds[0] and high <= bounds[1] * (1 + _EPSILON)
