"""The rules by which TensorRT places Q/DQ pairs: one table, applied to anybody's file.

Reference:
    NVIDIA ModelOpt 0.47, `onnx/quantization/{ort_utils,int8,graph_utils,partitioning}.py`, and TensorRT's explicit
    quantisation. Our own files follow `placement.s8_tensorrt`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from edgeseg.export.trt.rules import numbers, operators
from edgeseg.export.trt.rules.graph import Findings, QdqGraph, Violation, name_of


class Rule(NamedTuple):
    """One of them.

    Attributes:
        number: Of the table in docs/quantization.md.
        check: Finds the nodes that break it.
        remedy: What to do.
        on_gpu: It holds where a GPU runs the engine.
        on_dla: It holds where a DLA does, which runs nothing that is not in integers from end to end.
    """

    number: int
    check: Callable[[QdqGraph], Findings]
    remedy: str
    on_gpu: bool = True
    on_dla: bool = True


RULES = (
    Rule(1, numbers.symmetric, "quantise symmetrically to int8: zero point 0, kernels per output channel"),
    Rule(2, numbers.channel_axis, "put the scales on the output channels: Conv 0, ConvTranspose 1, MatMul the last"),
    Rule(3, operators.inputs_of_kernels, "put pairs on input and kernel alone, not on bias and result", on_dla=False),
    Rule(4, operators.skip_alone, "take the pair off that operand and quantise the skip alone", on_dla=False),
    Rule(5, operators.one_scale_concat, "give all inputs and the result the scale of the result"),
    Rule(6, operators.commuting, "put one pair in front of it, whose scale holds behind it too", on_dla=False),
    Rule(7, operators.float_only, "take the pair in front of it off", on_dla=False),
    Rule(8, operators.wide_enough, "leave this convolution in float", on_dla=False),
    Rule(9, operators.float_head, "leave what follows the last convolution in float", on_dla=False),
    Rule(10, numbers.whole_pairs, "write QuantizeLinear and DequantizeLinear with the same numbers, kernels in float"),
    Rule(11, operators.every_tensor, "put a pair on this tensor, or leave the DLA to other layers", on_gpu=False),
)


def broken_rules(graph: QdqGraph, *, dla: bool = False) -> tuple[Violation, ...]:
    """Apply the table.

    Args:
        graph: The graph.
        dla: The engine will run on a deep-learning accelerator, not on the GPU.

    Returns:
        What breaks a rule, by rule and then in the order of the file.
    """
    rules = [rule for rule in RULES if (rule.on_dla if dla else rule.on_gpu)]
    return tuple(
        Violation(rule.number, name_of(node), message, rule.remedy)
        for rule in rules
        for node, message in rule.check(graph)
    )
