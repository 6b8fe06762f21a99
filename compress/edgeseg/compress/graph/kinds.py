"""What kind of layer an operation is: for the latency table, the precision plan and the INT8 doctor alike."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import fx, nn

Kind = Literal["conv", "depthwise", "transposed", "resize", "concat", "add", "pool"]
KINDS: tuple[str, ...] = get_args(Kind)

_KINDS: dict[Any, Kind] = {
    nn.Conv2d: "conv",
    nn.ConvTranspose2d: "transposed",
    nn.Upsample: "resize",
    nn.UpsamplingBilinear2d: "resize",
    nn.UpsamplingNearest2d: "resize",
    F.interpolate: "resize",
    nn.MaxPool2d: "pool",
    F.max_pool2d: "pool",
    torch.cat: "concat",
    torch.concat: "concat",
    operator.add: "add",
    operator.iadd: "add",
    torch.add: "add",
    "add": "add",
    "add_": "add",
}
_LIMITS: dict[Any, float] = {
    nn.ReLU: math.inf,
    F.relu: math.inf,
    torch.relu: math.inf,
    nn.ReLU6: 6.0,
    F.relu6: 6.0,
}


def operation_of(node: fx.Node, modules: Mapping[str, nn.Module]) -> Any:
    """The module, the function or the name of the method that a node calls; None where it calls nothing.

    Args:
        node: Of a traced network.
        modules: Of that network, by path.
    """
    if node.op == "call_module":
        return modules[str(node.target)]
    return node.target if node.op in ("call_function", "call_method") else None


def kind_of(operation: Any) -> Kind | None:
    """The kind of layer that an operation is; None for one that is no layer of its own."""
    return "depthwise" if is_depthwise(operation) else _KINDS.get(_entry(operation))


def clamp_limit(operation: Any) -> float | None:
    """The largest value that a ReLU or ReLU6 can return; None for another operation."""
    return _LIMITS.get(_entry(operation))


def is_depthwise(operation: Any) -> bool:
    """Whether it is a convolution with one kernel for each channel."""
    if not isinstance(operation, nn.Conv2d):
        return False
    return operation.groups == operation.in_channels == operation.out_channels > 1


def _entry(operation: Any) -> Any:
    return type(operation) if isinstance(operation, nn.Module) else operation
