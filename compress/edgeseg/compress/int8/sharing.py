"""Which operations share one scale, because what they do is exact, or needs no second rounding, only then.

Resize and max pooling return values of their input, so they keep its scale. A concatenation has one scale for all its
parts; a part whose own scale is that one is copied, any other is rounded again.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from torch import fx, nn

from edgeseg.compress.graph.kinds import clamp_limit, kind_of, operation_of
from edgeseg.compress.int8.calibrate import Ranges

# A tensor with other readers joins a concatenation's range if that costs it at most one bit.
MAX_WIDENING = 2.0


def shared_scales(traced: fx.GraphModule, keys: dict[fx.Node, str], ranges: Ranges) -> dict[str, str]:
    """Find the groups of operations that share a scale.

    Args:
        traced: The folded network.
        keys: Names of its operations.
        ranges: Their ranges.

    Returns:
        Name of the group by operation, for operations that share; a group has the name of its first member.

    Raises:
        ExportError: If an operation of a concatenation was not calibrated.
    """
    modules = dict(traced.named_modules())
    groups = _Groups(keys, ranges, modules)
    for node in traced.graph.nodes:
        kind = kind_of(operation_of(node, modules))
        if kind in ("resize", "pool"):
            groups.join(node.args[0], node)
        elif kind == "concat":
            groups.concatenate(node, node.args[0] if node.args else node.kwargs["tensors"])
    return groups.named()


class _Groups:
    """Union-find over operations; the representative of a group is its first member."""

    def __init__(self, keys: dict[fx.Node, str], ranges: Ranges, modules: dict[str, nn.Module]) -> None:
        self._keys = keys
        self._ranges = ranges
        self._modules = modules
        self._members: dict[fx.Node, list[fx.Node]] = {node: [node] for node in keys}

    def join(self, a: fx.Node, b: fx.Node) -> None:
        if self._members[a] is not self._members[b]:
            joined = self._members[a] + self._members[b]
            for node in joined:
                self._members[node] = joined

    def concatenate(self, node: fx.Node, parts: Any) -> None:
        """The result spans all parts; a part joins if no one else reads it, or if joining costs it little.

        A ReLU whose integers would come to hold more than it can return stays apart: clamping would be work again.
        """
        low, high = self._span(parts)
        for part in parts:
            own_low, own_high = self._span([part])
            made_by = (operation_of(member, self._modules) for member in self._members[part])
            limits = [limit for operation in made_by if (limit := clamp_limit(operation)) is not None]
            widened = bool(limits) and (low < 0 or high > min(limits))
            free = self._read_only_by(part, node) or high - low <= MAX_WIDENING * (own_high - own_low)
            if free and not widened:
                self.join(part, node)

    def named(self) -> dict[str, str]:
        names = {self._keys[node]: self._keys[group[0]] for node, group in self._members.items()}
        sizes = Counter(names.values())
        return {key: group for key, group in names.items() if sizes[group] > 1}

    def _span(self, nodes: list[fx.Node]) -> tuple[float, float]:
        members = [self._ranges.of(self._keys[member]) for node in nodes for member in self._members[node]]
        return min(0.0, *(low for low, _ in members)), max(0.0, *(high for _, high in members))

    def _read_only_by(self, part: fx.Node, reader: fx.Node) -> bool:
        group = self._members[part]
        return all(user is reader or user in group for member in group for user in member.users)
