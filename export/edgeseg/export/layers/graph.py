"""One layer of a network as an ONNX file of its own, so that it can be timed before the network exists.

What a layer costs inside a network is not what a file of that layer costs. The file pays for the call itself and, at
its ends, for changes of layout that inside a network happen once or never. Both are kept out of the figure:

* **Layout.** ONNX Runtime computes u8s8 convolutions in NHWC. It puts a transpose before and after each and cancels
  those that meet; in our students two are left, at the very ends. A layer graph therefore begins and ends in NHWC and
  says so with transposes of its own, which meet ONNX Runtime's and vanish: what is left is the integer operator alone
  (a test looks). Operators without an integer NHWC kernel (max pooling, transposed convolution) keep their transposes
  and a resize its float detour, exactly as they do inside a network.
* **The call.** A graph can hold several copies of its layer, each with weights, input and output of its own. The time
  of a graph of 1 + n copies minus that of a graph of one, divided by n, is the layer: the call, its Python side and
  the hand-over of tensors are in both and cancel. What every operator costs the executor stays in, as it should.
  Inputs of all copies may be bound to one buffer; results are to be bound, or they are copied out of the engine.

FP32 convolutions are computed in blocks of channels (NCHWc). There a max pooling of single pixels, which runs in that
layout, stands at either end of each copy: one brings its input into the layout, one keeps a pixel only, so that hardly
anything is left to be changed back. These ends are no part of the layer: the smaller graph has as many of them, idle.

The INT8 form is that of `Placement u8s8_x86`: Q/DQ around every operator, weights s8 per channel, biases int32, and
the stem on groups of columns. Widths are taken as they are: which depthwise convolutions are widened depends on their
neighbours, so `compress.search.layers` lists the widths that ship.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgeseg.compress.search.probe import Layer
from edgeseg.export.onnx.export import OPSET
from edgeseg.export.onnx.placement import u8s8_x86
from edgeseg.export.onnx.stem import ATTRIBUTES, COLUMNS
from edgeseg.runtime.errors import ExportError

Precision = Literal["int8", "fp32"]

_IR_VERSION = 10
_TO_NCHW, _TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]
# The two operands of an addition or a concatenation have unlike scales in a network; which does not matter.
_SCALES = (np.float32(0.05), np.float32(0.06))
_WEIGHT_SCALE = np.float32(0.01)
_ZERO_POINT = np.uint8(3)


def layer_pair(layer: Layer, precision: Precision, extra: int) -> tuple[bytes, bytes]:
    """Write the two files whose difference in time, divided by `extra`, is the layer's time inside a network.

    Raises:
        ExportError: If the precision is unknown.
    """
    idle = extra if precision == "fp32" else 0
    return layer_onnx(layer, precision, 1, idle), layer_onnx(layer, precision, 1 + extra)


def layer_onnx(layer: Layer, precision: Precision = "int8", copies: int = 1, idle: int = 0) -> bytes:
    """Write a layer as an ONNX file.

    Args:
        layer: What to compute. A 3x3 convolution of stride 2 over 1 or 3 channels is taken for the stem.
        precision: `int8` is u8s8 for x86; `fp32` has the layout of a float network.
        copies: Equal layers side by side.
        idle: Further copies that have the ends of a copy, but not the layer (FP32 only).

    Returns:
        The file. Each copy has inputs `x0`, `x1`, ... (and `y0`, ... where the layer has two operands) and an output
        of its own. INT8: uint8 NHWC; FP32: inputs float32 NCHW, outputs float32 (1, C, 1, 1).

    Raises:
        ExportError: If the precision is unknown.
    """
    if precision not in ("int8", "fp32"):
        raise ExportError(f"layer graphs come in int8 and fp32, found precision {precision!r}.")
    integer = _Int8Stem if _is_on_columns(layer) else _Int8Graph
    graph = integer(layer) if precision == "int8" else _FloatGraph(layer)
    for index in range(copies + idle):
        graph.add_copy(index, idle=index >= copies)
    return graph.model().SerializeToString(deterministic=True)


def is_stem(layer: Layer) -> bool:
    """Whether a layer reads the pixels themselves: a convolution over one gray or three colour channels."""
    return layer.kind == "conv" and layer.in_channels in (1, 3)


def _is_on_columns(layer: Layer) -> bool:
    """Whether the INT8 exporter computes this layer on groups of columns."""
    fits = (layer.kernel, layer.stride) == (3, 2) and layer.height_px % 2 == layer.width_px % (2 * COLUMNS) == 0
    return is_stem(layer) and fits and u8s8_x86().columns


class _Graph:
    """Nodes and constants of a graph in the making."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}
        self.ends: dict[str, list[str]] = {"in": [], "out": []}
        halves = layer.in_channels // 2
        parts = {"concat": [layer.in_channels - halves, halves], "add": [layer.in_channels] * 2}
        # A concatenation of one channel has an operand that is no tensor; nothing of ours makes one.
        self.operands = [part for part in parts.get(layer.kind, [layer.in_channels]) if part]

    def node(self, operator: str, inputs: list[str], made: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [made], **attributes))
        return made

    def constant(self, name: str, array: Any) -> str:
        self.constants[name] = np.asarray(array)
        return name

    def operator(self, inputs: list[str], made: str) -> str:
        """The layer's operator on float tensors; `inputs` are its operands and, for a convolution, kernel and bias."""
        layer = self.layer
        if layer.kind in ("conv", "depthwise"):
            attributes = {"kernel_shape": [layer.kernel] * 2, "strides": [layer.stride] * 2}
            groups = layer.in_channels if layer.kind == "depthwise" else 1
            return self.node("Conv", inputs, made, **attributes, pads=[layer.kernel // 2] * 4, group=groups)
        if layer.kind == "transposed":
            return self.node("ConvTranspose", inputs, made, kernel_shape=[layer.kernel] * 2, strides=[layer.stride] * 2)
        if layer.kind == "resize":
            scales = self.constant("factors", np.array([1, 1, layer.stride, layer.stride], np.float32))
            mode = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
            return self.node("Resize", [inputs[0], "", scales], made, **mode)
        if layer.kind == "pool":
            return self.node("MaxPool", inputs, made, kernel_shape=[layer.kernel] * 2, strides=[layer.stride] * 2)
        return self.node("Add", inputs, made) if layer.kind == "add" else self.node("Concat", inputs, made, axis=1)

    def kernel_shape(self) -> tuple[int, ...] | None:
        """Shape of the kernel; None for an operator without."""
        layer, spatial = self.layer, (self.layer.kernel,) * 2
        shapes = {
            "conv": (layer.out_channels, layer.in_channels, *spatial),
            "depthwise": (layer.out_channels, 1, *spatial),
            "transposed": (layer.in_channels, layer.out_channels, *spatial),
        }
        return shapes.get(layer.kind)

    def add_copy(self, index: int, *, idle: bool) -> None:
        raise NotImplementedError

    def built(self, kind: int, shapes: list[list[int]]) -> onnx.ModelProto:
        inputs = [
            helper.make_tensor_value_info(name, kind, shape)
            for name, shape in zip(self.ends["in"], shapes, strict=True)
        ]
        outputs = [helper.make_tensor_value_info(name, kind, None) for name in self.ends["out"]]
        constants = [numpy_helper.from_array(array, name) for name, array in self.constants.items()]
        graph = helper.make_graph(self.nodes, "edgeseg", inputs, outputs, constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="edgeseg")
        model.ir_version = _IR_VERSION
        return onnx.shape_inference.infer_shapes(model)

    def model(self) -> onnx.ModelProto:
        raise NotImplementedError


class _Int8Graph(_Graph):
    def add_copy(self, index: int, *, idle: bool) -> None:
        assert not idle  # nothing stands at the ends of an integer layer
        zero = self.constant("zero", _ZERO_POINT)
        read = []
        for letter, scale, _ in zip("xy", _SCALES, self.operands, strict=False):
            name = f"{letter}{index}"
            self.ends["in"].append(name)
            planes = self.node("Transpose", [name], f"{name}.nchw", perm=_TO_NCHW)
            step = self.constant(f"scale_{letter}", scale)
            read.append(self.node("DequantizeLinear", [planes, step, zero], f"{name}.float"))
        result = self.operator(read + self._kernel(index), f"r{index}.float")
        integers = self.node("QuantizeLinear", [result, "scale_x", zero], f"r{index}")
        self.ends["out"].append(self.node("Transpose", [integers], f"r{index}.nhwc", perm=_TO_NHWC))

    def _kernel(self, index: int) -> list[str]:
        shape = self.kernel_shape()
        if shape is None:
            return []
        axis, n = (1 if self.layer.kind == "transposed" else 0), self.layer.out_channels
        weights = np.random.default_rng(index).integers(-127, 128, shape, dtype=np.int8)
        scales = self.constant("w_scales", np.full(n, _WEIGHT_SCALE))
        zeros = self.constant(f"w{index}.zeros", np.zeros(n, np.int8))  # of its own: see backends/ort.py
        inputs = [self.constant(f"w{index}.int", weights), scales, zeros]
        bias = self.constant(f"b{index}.int", np.full(n, index, np.int32))
        steps = self.constant("b_scales", np.full(n, _SCALES[0] * _WEIGHT_SCALE))
        return [
            self.node("DequantizeLinear", inputs, f"w{index}", axis=axis),
            self.node("DequantizeLinear", [bias, steps], f"b{index}", axis=0),
        ]

    def model(self) -> onnx.ModelProto:
        size, copies = [self.layer.height_px, self.layer.width_px], len(self.ends["out"])
        return self.built(TensorProto.UINT8, [[1, *size, part] for part in self.operands] * copies)


class _Int8Stem(_Int8Graph):
    """The stem as it ships: eight pixels of a row as channels, four columns of the result at once (see `stem`)."""

    def __init__(self, layer: Layer) -> None:
        made, read = COLUMNS * layer.out_channels, 2 * COLUMNS * layer.in_channels
        width = layer.width_px // (2 * COLUMNS)
        super().__init__(Layer("conv", read, made, layer.kernel, layer.stride, layer.height_px, width))

    def operator(self, inputs: list[str], made: str) -> str:
        return self.node("Conv", inputs, made, **ATTRIBUTES)

    def kernel_shape(self) -> tuple[int, ...]:
        return (self.layer.out_channels, self.layer.in_channels, *ATTRIBUTES["kernel_shape"])


class _FloatGraph(_Graph):
    def add_copy(self, index: int, *, idle: bool) -> None:
        read = [self._entry(f"{letter}{index}") for letter, _ in zip("xy", self.operands, strict=False)]
        if idle:
            self.ends["out"] += [self._pixel(name) for name in read]
            return
        shape = self.kernel_shape()
        if shape is not None:
            weights = np.random.default_rng(index).standard_normal(shape, dtype=np.float32)
            zeros = np.zeros(self.layer.out_channels, np.float32)
            read += [self.constant(f"w{index}", weights), self.constant(f"b{index}", zeros)]
        self.ends["out"].append(self._pixel(self.operator(read, f"r{index}")))

    def _entry(self, name: str) -> str:
        """An operand in the layout it has in a network; pixels come in planes."""
        self.ends["in"].append(name)
        return name if is_stem(self.layer) else self.node("MaxPool", [name], f"{name}.blocks", kernel_shape=[1, 1])

    def _pixel(self, name: str) -> str:
        """One pixel of each plane, in the layout the planes are in; the step is beyond the size of any result."""
        step = self.layer.stride * max(self.layer.height_px, self.layer.width_px)
        return self.node("MaxPool", [name], f"{name}.pixel", kernel_shape=[1, 1], strides=[step, step])

    def model(self) -> onnx.ModelProto:
        size, copies = [self.layer.height_px, self.layer.width_px], len(self.ends["in"]) // len(self.operands)
        return self.built(TensorProto.FLOAT, [[1, part, *size] for part in self.operands] * copies)
