"""Where Q/DQ pairs go in an INT8 ONNX file, and what numbers they hold: one recipe per kind of engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx

CONVS = {"Conv": 0, "ConvTranspose": 1}  # by operator: the kernel's axis of output channels
MOVES = {"Concat", "Resize", "MaxPool"}
LAYOUT = {"Squeeze", "Unsqueeze", "Reshape", "Transpose"}
CLAMPS = {"Relu", "Clip"}


@dataclass(frozen=True)
class Placement:
    """The rules of one kind of engine.

    Attributes:
        activation: Integer type of activations; `int8` means symmetric, zero point 0.
        results: Quantise what operators return as well, the scores among them, so that nothing is left in float.
        biases: Write biases as int32; TensorRT wants them in float.
        skip_only: Of an addition quantise the skip alone, so that the other operand fuses with its convolution.
        one_scale_concat: Give all inputs of a concatenation the scale of its result (see `level`).
        pixels: The uint8 image itself is the first quantised tensor (scale 1, zero point 0).
        float_weights: Keep kernels in float behind a pair of their own, as TensorRT up to 10 wants them.
        min_channels: Convolutions with fewer input or output channels stay in float.
        depthwise_step: Widen depthwise convolutions to a multiple of this (see `widen`); 1 leaves them.
        columns: Compute a 3x3 stem of stride 2 on groups of columns (see `stem`).
    """

    activation: Literal["uint8", "int8"]
    results: bool
    biases: bool
    skip_only: bool
    one_scale_concat: bool
    pixels: bool
    float_weights: bool
    min_channels: int
    depthwise_step: int = 1
    columns: bool = False

    def takes(self, node: onnx.NodeProto, constants: Mapping[str, np.ndarray]) -> bool:
        """Whether an operator is computed in integers, unless the plan keeps it in float.

        Args:
            node: Of the float graph.
            constants: The graph's constants by name.
        """
        if node.op_type not in CONVS:
            operands = {"Add": 2}.get(node.op_type, 1 if node.op_type in MOVES else 0)
            return operands > 0 and not any(name in constants for name in node.input[:operands])
        # A grouped transposed convolution has its output channels spread over two axes: no per-channel scale fits.
        grouped = node.op_type == "ConvTranspose" and groups(node) > 1
        return min(channels(node, constants[node.input[1]].shape)) >= self.min_channels and not grouped


def channels(node: onnx.NodeProto, kernel: tuple[int, ...]) -> tuple[int, int]:
    """Input and output channels of a convolution, by the shape of its kernel."""
    a, b = kernel[0], kernel[1] * groups(node)
    return (b, a) if node.op_type == "Conv" else (a, b)


def groups(node: onnx.NodeProto) -> int:
    """Groups of a convolution."""
    return next((a.i for a in node.attribute if a.name == "group"), 1)


def u8s8_x86() -> Placement:
    """Asymmetric u8 activations and s8 weights around every operator: ONNX Runtime fuses all into integer kernels."""
    return Placement(
        activation="uint8",
        results=True,
        biases=True,
        skip_only=False,
        one_scale_concat=False,  # the integer kernel reads inputs of different scales through a table
        pixels=True,
        float_weights=False,
        min_channels=1,
        depthwise_step=16,
        columns=True,
    )


def s8_tensorrt() -> Placement:
    """Symmetric s8 on the inputs of operators; biases, narrow layers and the scores stay in float.

    Reference:
        The placement of NVIDIA ModelOpt 0.47 (`onnx/quantization/ort_utils.py`) and TensorRT's explicit quantisation.
    """
    return Placement(
        activation="int8",
        results=False,
        biases=False,
        skip_only=True,
        one_scale_concat=True,
        pixels=False,
        float_weights=True,
        min_channels=16,
    )
