"""Small Q/DQ graphs, put together operator by operator."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CHANNELS = 16
ZERO = np.int8(0)


class Graph:
    """A graph in the making; every method returns the tensor it has made."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, np.ndarray] = {}

    def op(self, kind: str, inputs: list[str], name: str = "", **attributes: Any) -> str:
        made = f"{name or kind}.{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [made], name=name, **attributes))
        return made

    def constant(self, array: np.ndarray) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants[name] = array
        return name

    def half(self, kind: str, name: str, scale: Any, zero: Any = ZERO, **attributes: Any) -> str:
        numbers = [self.constant(np.asarray(scale, np.float32)), self.constant(np.asarray(zero))]
        return self.op(kind, [name, *numbers], f"{kind[:1].lower()}_{name}", **attributes)

    def pair(self, name: str, scale: Any = 0.1, zero: Any = ZERO, back: Any = None, **attributes: Any) -> str:
        integers = self.half("QuantizeLinear", name, scale, zero, **attributes)
        return self.half("DequantizeLinear", integers, scale if back is None else back, zero, **attributes)

    def kernel(self, shape: tuple[int, ...], axis: int = 0) -> str:
        n = shape[axis]
        return self.pair(self.constant(np.ones(shape, np.float32)), np.full(n, 0.01), np.zeros(n, np.int8), axis=axis)

    def conv(self, name: str, *, inputs: int = CHANNELS, outputs: int = CHANNELS, label: str = "conv") -> str:
        """A convolution in integers, of a float tensor."""
        return self.op("Conv", [self.pair(name), self.kernel((outputs, inputs, 3, 3))], label, pads=[1] * 4)

    def model(self, output: str, opset: int = 17, channels: int = CHANNELS) -> onnx.ModelProto:
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, channels, 8, 8])
        result = helper.make_tensor_value_info(output, TensorProto.FLOAT, [None] * 4)
        constants = [numpy_helper.from_array(array, name) for name, array in self._constants.items()]
        graph = helper.make_graph(self._nodes, "graph", [image], [result], constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        model.ir_version = 8
        return model
