"""The channel counts that are shipped where an exporter widens depthwise convolutions for its engine.

The rule is that of `export.onnx.widen`, told on the traced network instead of the ONNX graph, because a search has to
know the widths of thousands of networks that are never exported. A test holds the two against each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from edgeseg.compress.graph.kinds import is_depthwise, operation_of

# What engines fuse into the operation before: it costs nothing of its own and passes channels on one by one.
ACTIVATIONS: tuple[Any, ...] = (
    *(nn.BatchNorm2d, nn.ReLU, nn.ReLU6, nn.Hardtanh, nn.Identity, nn.Dropout, nn.Dropout2d),
    *(F.relu, F.relu6, torch.relu, F.hardtanh, F.dropout, torch.clamp),
)
_PASSES: tuple[Any, ...] = (*ACTIVATIONS, nn.Upsample, nn.MaxPool2d, F.interpolate, F.max_pool2d)


def is_one_of(what: Any, known: tuple[Any, ...]) -> bool:
    """Whether an operation, a module or a function, is among classes and functions."""
    return type(what) in known or any(what is one for one in known)


def grown_channels(traced: fx.GraphModule, channels: dict[fx.Node, int], step: int) -> dict[fx.Node, int]:
    """Channels of every operation's result after depthwise convolutions were widened to multiples of `step`.

    Args:
        traced: A traced network.
        channels: Channels of each operation's result as the network has them. Not modified.
        step: 1 leaves everything as it is.
    """
    grown = dict(channels)
    graph = _Graph(traced)
    for node in traced.graph.nodes:
        more = -grown[node] % step if node in grown and graph.is_depthwise(node) else 0
        before = graph.before(node.args[0]) if more else None
        after = graph.after(node) if more else None
        if before is not None and after is not None:
            for wider in (*before, node, *after):
                grown[wider] += more
    return grown


@dataclass
class _Graph:
    """A traced network with what its operations are."""

    traced: fx.GraphModule

    def __post_init__(self) -> None:
        self._modules = dict(self.traced.named_modules())
        targets = [node.target for node in self.traced.graph.nodes if node.op == "call_module"]
        self._shared = {target for target in targets if targets.count(target) > 1}

    def is_depthwise(self, node: fx.Node) -> bool:
        return is_depthwise(operation_of(node, self._modules))

    def before(self, node: fx.Node) -> list[fx.Node] | None:
        """The operations from the dense convolution whose results reach `node` alone, up to `node`."""
        if len(node.users) != 1:
            return None
        if self._passes(node):
            return self._joined(node, self.before(node.all_input_nodes[0]))
        if node.target in (torch.cat, torch.concat):
            paths = (self.before(part) for part in node.all_input_nodes)
            return self._joined(node, next((path for path in paths if path is not None), None))
        return [node] if self._dense(node) else None

    def after(self, node: fx.Node) -> list[fx.Node] | None:
        """What passes `node` on to dense convolutions; None if anything else reads it."""
        between: list[fx.Node] = []
        for reader in node.users:
            if self._passes(reader):
                further = self.after(reader)
                if further is None:
                    return None
                between += [reader, *further]
            elif not self._dense(reader):
                return None
        return between

    def _joined(self, node: fx.Node, path: list[fx.Node] | None) -> list[fx.Node] | None:
        return None if path is None else [*path, node]

    def _passes(self, node: fx.Node) -> bool:
        return is_one_of(operation_of(node, self._modules), _PASSES)

    def _dense(self, node: fx.Node) -> bool:
        conv = operation_of(node, self._modules)
        return isinstance(conv, nn.Conv2d) and conv.groups == 1 and node.target not in self._shared
