"""A network as the layers an integer engine runs: a convolution with its activation, a concatenation, a resize."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from torch import fx, nn

from edgeseg.compress.graph.kinds import Kind, clamp_limit, kind_of, operation_of
from edgeseg.compress.graph.trace import node_keys, trace


@dataclass(frozen=True)
class Int8Layer:
    """One layer that can be integer or float.

    Attributes:
        name: Module path of its first operation, or the functional operation's name.
        kind: What it does.
        keys: Names of all its operations: what `Plan.float_paths` has to hold to keep it in float, for every engine.
        reads: Names of the operations whose results it reads.
        makes: Name of the operation that is its result.
    """

    name: str
    kind: Kind
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
        kind = kind_of(operation_of(node, modules))
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


def _with_clamp(
    node: fx.Node, keys: dict[fx.Node, str], modules: dict[str, nn.Module]
) -> tuple[fx.Node, tuple[str, ...]]:
    """The operation that ends a layer, and all its names: an activation that alone reads the result is part of it."""
    last, members = node, [keys[node]]
    while len(last.users) == 1:
        (user,) = last.users
        passes = user in keys and keys[user] == keys[last]
        clamp = clamp_limit(operation_of(user, modules)) is not None
        if not passes and not clamp:
            break
        last = user
        members.append(keys[user])
        if clamp:
            break
    return last, tuple(dict.fromkeys(members))


def _merged(a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*a, *b)))
