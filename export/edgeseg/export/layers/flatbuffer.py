"""One layer of a network as a TFLite file of its own, for LiteRT: the counterpart of `layers.graph`.

TFLite computes in NHWC throughout, so a layer has no ends to take off; only the call itself is to be kept out, by the
same difference of a file of 1 + n copies and a file of one. All copies read the same inputs: LiteRT never merges equal
operators. The forms are those that `write_int8_tflite` ships: s8 activations, kernels s8 per output channel, a padding
of its own before a convolution with a stride, a stem on one or three channels that is computed in float between a
dequantisation and a quantisation, and a requantisation of one part before a concatenation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgeseg.compress.search.probe import Layer
from edgeseg.export.layers.graph import Precision, is_stem
from edgeseg.export.tflite.flatbuffer import write
from edgeseg.runtime.errors import ExportError

_FLOAT, _INT8, _INT32 = schema.TensorType.FLOAT32, schema.TensorType.INT8, schema.TensorType.INT32
_OPERATORS = schema.BuiltinOperator
_OPTIONS = schema.BuiltinOptions
_SAME, _VALID = schema.Padding.SAME, schema.Padding.VALID
# The version the converter writes, where it is not 1.
_VERSIONS = {_OPERATORS.RESIZE_BILINEAR: 3, _OPERATORS.TRANSPOSE_CONV: 3}
_SCALE, _OTHER_SCALE, _WEIGHT_SCALE, _ZERO_POINT = 0.05, 0.06, 0.01, -3
_NUMPY = {_FLOAT: np.float32, _INT8: np.int8, _INT32: np.int32}


def layer_tflite(layer: Layer, precision: Precision = "int8", copies: int = 1) -> bytes:
    """Write a layer as a TFLite file.

    Args:
        layer: What to compute.
        precision: `int8` or `fp32`.
        copies: Equal layers side by side, each with weights and result of its own.

    Returns:
        The file. One input, or two where the layer has two operands, NHWC; one output per copy.

    Raises:
        ExportError: If the precision is unknown.
    """
    if precision not in ("int8", "fp32"):
        raise ExportError(f"layer graphs come in int8 and fp32, found precision {precision!r}.")
    return _Builder(layer, precision).file(copies)


class _Builder:
    """A flatbuffer's object tree in the making."""

    def __init__(self, layer: Layer, precision: Precision) -> None:
        self._layer = layer
        self._type = _INT8 if precision == "int8" else _FLOAT
        self._graph = schema.SubGraphT()
        self._graph.tensors, self._graph.operators = [], []
        self._buffers = [schema.BufferT()]
        self._codes: list[int] = []

    def file(self, copies: int) -> bytes:
        layer, halves = self._layer, self._layer.in_channels // 2
        parts = {"concat": [layer.in_channels - halves, halves], "add": [layer.in_channels] * 2}
        shape = (1, layer.height_px, layer.width_px)
        inputs = [self._tensor((*shape, part), self._type) for part in parts.get(layer.kind, [layer.in_channels])]
        outputs = [self._copy(inputs, index) for index in range(copies)]
        self._graph.inputs, self._graph.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        model = schema.ModelT()
        model.version, model.description = 3, b"edgeseg"
        model.subgraphs, model.buffers, model.operatorCodes = [self._graph], self._buffers, []
        for number in self._codes:
            code = schema.OperatorCodeT()
            code.builtinCode, code.deprecatedBuiltinCode = number, number
            code.version = _VERSIONS.get(number, 1)
            model.operatorCodes.append(code)
        return write(model)

    def _copy(self, inputs: list[int], index: int) -> int:
        layer, size = self._layer, (self._layer.height_px, self._layer.width_px)
        if layer.kind in ("conv", "depthwise", "transposed"):
            return self._convolution(inputs[0], np.random.default_rng(index))
        if layer.kind == "add":
            return self._emit(_OPERATORS.ADD, inputs, (*size, layer.out_channels), self._type, schema.AddOptionsT())
        if layer.kind == "concat":
            return self._concatenation(inputs)
        if layer.kind == "pool":
            pooling = schema.Pool2DOptionsT()
            pooling.padding, pooling.strideH, pooling.strideW = _VALID, layer.stride, layer.stride
            pooling.filterHeight = pooling.filterWidth = layer.kernel
            made = (size[0] // layer.stride, size[1] // layer.stride, layer.out_channels)
            return self._emit(_OPERATORS.MAX_POOL_2D, inputs, made, self._type, pooling)
        resizing = schema.ResizeBilinearOptionsT()
        resizing.halfPixelCenters = True
        grown = (size[0] * layer.stride, size[1] * layer.stride)
        wanted = self._constant(np.array(grown, np.int32))
        shape = (*grown, layer.out_channels)
        return self._emit(_OPERATORS.RESIZE_BILINEAR, [inputs[0], wanted], shape, self._type, resizing)

    def _concatenation(self, inputs: list[int]) -> int:
        layer, joining = self._layer, schema.ConcatenationOptionsT()
        joining.axis = 3
        first, size = inputs[0], (layer.height_px, layer.width_px)
        if self._type == _INT8:
            channels = layer.in_channels - layer.in_channels // 2
            self._graph.tensors[first].quantization.scale = [_OTHER_SCALE]
            first = self._emit(_OPERATORS.QUANTIZE, [first], (*size, channels), _INT8, schema.QuantizeOptionsT())
        shape = (*size, layer.out_channels)
        return self._emit(_OPERATORS.CONCATENATION, [first, *inputs[1:]], shape, self._type, joining)

    # -- convolutions

    def _convolution(self, source: int, rng: np.random.Generator) -> int:
        layer = self._layer
        narrow = self._type == _INT8 and is_stem(layer)
        kind = _FLOAT if narrow else self._type
        shape = (layer.height_px, layer.width_px, layer.in_channels)
        if narrow:
            source = self._emit(_OPERATORS.DEQUANTIZE, [source], shape, _FLOAT, None)
        if layer.kind == "transposed":
            return self._transposed(source, rng)
        if layer.stride > 1 and layer.kernel > 1:
            source = self._padded(source, shape, kind)
        # A convolution over one channel is a depthwise one with many filters, which is how the converter writes it.
        operator = "DEPTHWISE_CONV_2D" if layer.kind == "depthwise" or layer.in_channels == 1 else "CONV_2D"
        made = (layer.height_px // layer.stride, layer.width_px // layer.stride, layer.out_channels)
        weights = self._weights(operator, kind, rng)
        options = self._options(operator)
        result = self._emit(getattr(_OPERATORS, operator), [source, *weights], made, kind, options)
        return self._emit(_OPERATORS.QUANTIZE, [result], made, _INT8, schema.QuantizeOptionsT()) if narrow else result

    def _padded(self, source: int, shape: tuple[int, int, int], kind: int) -> int:
        by = self._layer.kernel // 2
        rows = self._constant(np.array([[0, 0], [by, by], [by, by], [0, 0]], np.int32))
        padded = (shape[0] + 2 * by, shape[1] + 2 * by, shape[2])
        return self._emit(_OPERATORS.PAD, [source, rows], padded, kind, schema.PadOptionsT())

    def _options(self, operator: str) -> Any:
        options: Any = schema.Conv2DOptionsT()
        if operator == "DEPTHWISE_CONV_2D":
            options = schema.DepthwiseConv2DOptionsT()
            options.depthMultiplier = self._layer.out_channels // self._layer.in_channels
        options.strideH = options.strideW = self._layer.stride
        options.dilationHFactor = options.dilationWFactor = 1
        options.padding = _SAME if self._layer.kernel > 1 and self._layer.stride == 1 else _VALID
        options.fusedActivationFunction = schema.ActivationFunctionType.RELU6
        return options

    def _weights(self, operator: str, kind: int, rng: np.random.Generator) -> list[int]:
        """Kernel and bias."""
        layer, spatial = self._layer, (self._layer.kernel,) * 2
        axis, shape = 0, (layer.out_channels, *spatial, layer.in_channels)
        if operator == "DEPTHWISE_CONV_2D":
            axis, shape = 3, (1, *spatial, layer.out_channels)
        n = layer.out_channels
        if kind == _FLOAT:
            return [self._constant(rng.standard_normal(shape, np.float32)), self._constant(np.zeros(n, np.float32))]
        kernel = rng.integers(-127, 128, shape, dtype=np.int8)
        biases = np.zeros(n, np.int32)
        return [
            self._constant(kernel, [_WEIGHT_SCALE] * n, axis),
            self._constant(biases, [_SCALE * _WEIGHT_SCALE] * n, 0),
        ]

    def _transposed(self, source: int, rng: np.random.Generator) -> int:
        layer, options = self._layer, schema.TransposeConvOptionsT()
        options.padding, options.strideH, options.strideW = _VALID, layer.stride, layer.stride
        made = (layer.height_px * layer.stride, layer.width_px * layer.stride, layer.out_channels)
        kernel, bias = self._weights("TRANSPOSE_CONV", self._type, rng)
        shape = self._constant(np.array((1, *made), np.int32))
        return self._emit(_OPERATORS.TRANSPOSE_CONV, [shape, kernel, source, bias], made, self._type, options)

    # -- the object tree

    def _emit(self, operator: int, inputs: list[int], made: tuple[int, ...], kind: int, options: Any) -> int:
        if operator not in self._codes:
            self._codes.append(operator)
        node = schema.OperatorT()
        node.opcodeIndex = self._codes.index(operator)
        node.inputs = np.array(inputs, np.int32)
        index = self._tensor((1, *made), kind)
        node.outputs = np.array([index], np.int32)
        if options is not None:
            node.builtinOptions = options
            node.builtinOptionsType = getattr(_OPTIONS, type(options).__name__.removesuffix("T"))
        self._graph.operators.append(node)
        return index

    def _tensor(self, shape: tuple[int, ...], kind: int) -> int:
        return self._add(shape, kind, 0, [_SCALE] if kind == _INT8 else None, 0)

    def _constant(self, array: np.ndarray, scales: list[float] | None = None, axis: int = 0) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(array.tobytes(), np.uint8)
        self._buffers.append(buffer)
        kind = next(kind for kind, dtype in _NUMPY.items() if array.dtype == dtype)
        return self._add(array.shape, kind, len(self._buffers) - 1, scales, axis)

    def _add(self, shape: tuple[int, ...], kind: int, buffer: int, scales: list[float] | None, axis: int) -> int:
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = np.array(shape, np.int32), kind, buffer
        tensor.name = f"t{len(self._graph.tensors)}".encode()
        if scales is not None:
            quantization = schema.QuantizationParametersT()
            zero = 0 if buffer else _ZERO_POINT
            quantization.scale, quantization.zeroPoint = scales, [zero] * len(scales)
            quantization.quantizedDimension = axis
            tensor.quantization = quantization
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1
