"""A network as the layers an integer engine runs: a convolution with its activation, a concatenation, a resize."""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import fx, nn

from edgeseg.compress.trace import node_keys, trace

_MODULES: dict[type[nn.Module], str] = {
    nn.Conv2d: "conv",
    nn.ConvTranspose2d: "transposed",
    nn.MaxPool2d: "pool",
    nn.Upsample: "resize",
    nn.UpsamplingBilinear2d: "resize",
    nn.UpsamplingNearest2d: "resize",
}
_FUNCTIONS: dict[Any, str] = {
    torch.cat: "concat",
    torch.concat: "concat",
    operator.add: "add",
    operator.iadd: "add",
    torch.add: "add",
    F.interpolate: "resize",
    F.max_pool2d: "pool",
}
_CLAMPS = (nn.ReLU, nn.ReLU6)
_CLAMP_FUNCTIONS = (F.relu, torch.relu, F.relu6)


@dataclass(frozen=True)
class Int8Layer:
    """One layer that can be integer or float.

    Attributes:
        name: Module path of its first operation, or the functional operation's name.
        kind: conv, depthwise, transposed, concat, add, resize or pool.
        keys: Names of all its operations: what `Plan.float_paths` has to hold to keep it in float, for every engine.
        reads: Names of the operations whose results it reads.
        makes: Name of the operation that is its result.
    """

    name: str
    kind: str
    keys: tuple[str, ...]
    reads: tuple[str, ...]
    makes: str


def int8_layers(net: nn.Module) -> tuple[Int8Layer, ...]:
    """The layers of a network with batch norm folded, in the order of execution.

    A module that is called twice is one layer, since a plan names it once.

    Raises:
        ExportError: If the network cannot be traced.
    """
    traced = trace(net)
    modules, keys = dict(traced.named_modules()), node_keys(traced)
    layers: dict[str, Int8Layer] = {}
    for node in traced.graph.nodes:
        kind = _kind(node, modules)
        if kind is None:
            continue
        name = keys[node].partition("#")[0]
        last, members = _with_clamp(node, keys, modules)
        reads = tuple(dict.fromkeys(keys[source] for source in node.all_input_nodes if source in keys))
        layer = Int8Layer(name, kind, members, reads, keys[last])
        if name in layers:
            before = layers[name]
            layer = replace(layer, keys=_merged(before.keys, members), reads=_merged(before.reads, reads))
        layers[name] = layer
    return tuple(layers.values())


def kernel_of(net: nn.Module, layer: Int8Layer) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Kernel, float32 (out, in, taps), and bias (out,) of a layer; None where it has none."""
    module = dict(net.named_modules()).get(layer.name)
    if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        return None, None
    weight = module.weight.detach().numpy()
    if isinstance(module, nn.ConvTranspose2d):
        if module.groups > 1:
            return None, None
        weight = weight.transpose(1, 0, 2, 3)
    bias = None if module.bias is None else module.bias.detach().numpy()
    return weight.reshape(*weight.shape[:2], -1), bias


def _kind(node: fx.Node, modules: dict[str, nn.Module]) -> str | None:
    if node.op == "call_function":
        return _FUNCTIONS.get(node.target)
    if node.op == "call_method":
        return "add" if node.target in ("add", "add_") else None
    if node.op != "call_module":
        return None
    module = modules[str(node.target)]
    kind = _MODULES.get(type(module))
    if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1:
        return "depthwise"
    return kind


def _with_clamp(
    node: fx.Node, keys: dict[fx.Node, str], modules: dict[str, nn.Module]
) -> tuple[fx.Node, tuple[str, ...]]:
    """The operation that ends a layer, and all its names: an activation that alone reads the result is part of it."""
    last, members = node, [keys[node]]
    while len(last.users) == 1:
        (user,) = last.users
        passes = user in keys and keys[user] == keys[last]
        clamp = isinstance(modules.get(str(user.target)), _CLAMPS) if user.op == "call_module" else False
        clamp = clamp or (user.op == "call_function" and user.target in _CLAMP_FUNCTIONS)
        if not passes and not clamp:
            break
        last = user
        members.append(keys[user])
        if clamp:
            break
    return last, tuple(dict.fromkeys(members))


def _merged(a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*a, *b)))
