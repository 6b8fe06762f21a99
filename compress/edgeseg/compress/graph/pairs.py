"""Pairs of convolutions between which a channel can be scaled without changing the function.

Between the two may lie only what scales with its input (ReLU, max pooling, resizing) and ReLU6, which scales with it up
to its limit alone: `Pair.limit`. Nothing else may read what lies between, so a tensor that a skip or a concatenation
reads is left out; why is said.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import fx, nn

from edgeseg.compress.graph.kinds import is_depthwise
from edgeseg.compress.graph.trace import node_keys, trace

Conv = nn.Conv2d | nn.ConvTranspose2d

_SCALES_MODULES = (nn.Identity, nn.Dropout, nn.Dropout2d, nn.ReLU, nn.MaxPool2d, nn.Upsample)
_SCALES_FUNCTIONS = (F.relu, F.interpolate, F.max_pool2d)


@dataclass(frozen=True)
class Pair:
    """Two convolutions, one reading the other's result and nobody else doing so.

    Attributes:
        first: Module path of the convolution that makes the channels.
        second: Module path of the one that reads them.
        between: Name of the operation whose result `second` reads (`trace.node_keys`).
        limit: The largest value that passes between them: 6 after a ReLU6; None without a limit.
    """

    first: str
    second: str
    between: str
    limit: float | None


def find_pairs(model: nn.Module) -> tuple[list[Pair], dict[str, str]]:
    """Find the pairs of a folded network.

    Returns:
        The pairs, and why each other convolution begins none, by its path.

    Raises:
        ExportError: If the network cannot be traced.
    """
    traced = trace(model)
    keys, modules = node_keys(traced), dict(traced.named_modules())
    calls = [str(node.target) for node in traced.graph.nodes if node.op == "call_module"]
    pairs: list[Pair] = []
    left_out: dict[str, str] = {}
    for node in traced.graph.nodes:
        if node.op != "call_module" or not isinstance(modules[node.target], Conv):
            continue
        found = _pair(node, modules, calls, keys)
        if isinstance(found, Pair):
            pairs.append(found)
        else:
            left_out[str(node.target)] = found
    return pairs, left_out


def _pair(start: fx.Node, modules: dict[str, nn.Module], calls: list[str], keys: dict[fx.Node, str]) -> Pair | str:
    """The pair that begins with this convolution, or why there is none."""
    node, limit = start, None
    while True:
        if len(node.users) != 1:
            return f"{keys[node]} is read {len(node.users)} times"
        reader = next(iter(node.users))
        module = modules.get(str(reader.target)) if reader.op == "call_module" else None
        if isinstance(module, Conv):
            break
        if isinstance(module, nn.ReLU6) or reader.target is F.relu6:
            limit = 6.0
        elif not isinstance(module, _SCALES_MODULES) and reader.target not in _SCALES_FUNCTIONS:
            return f"{keys.get(reader, 'the output')} reads it" if reader.op != "output" else "it is the output"
        node = reader
    first, second = str(start.target), str(reader.target)
    for path in (first, second):
        if calls.count(path) > 1:
            return f"{path} is called {calls.count(path)} times"
        if not _separable(modules[path]):
            return f"{path} is neither dense nor depthwise"
    return Pair(first, second, keys[node], limit)


def _separable(conv: nn.Module) -> bool:
    return isinstance(conv, Conv) and (conv.groups == 1 or is_depthwise(conv))
