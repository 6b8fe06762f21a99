"""The precision plan: from ranges to scales and zero points, the same for every engine.

A plan holds ranges, not scales, because targets differ: x86 wants u8 asymmetric activations, TFLite s8 asymmetric ones
(the same scale, the zero point 128 lower), TensorRT s8 symmetric ones. Operations that only move or interpolate values
(resize, max pooling, concatenation) share the range of their inputs where that avoids a second rounding.

Reference:
    Jacob et al. 2018, arXiv:1712.05877, section 2.1 and 3.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from edgeseg.compress.calibrate import Ranges
from edgeseg.compress.trace import node_keys, trace
from edgeseg.runtime.errors import ConfigError, ExportError
from torch import fx, nn

# Below this width a range holds nothing but rounding noise: such a tensor is read as zeros.
MIN_WIDTH = 1e-6
# A tensor with other readers joins a concatenation's range if that costs it at most one bit.
MAX_WIDENING = 2.0
# Biases are int32 with scale activation * weight; half the int32 range leaves room for the sum of products.
MAX_BIAS = float(1 << 30)

_MOVES_MODULES = (nn.MaxPool2d, nn.Upsample, nn.UpsamplingBilinear2d, nn.UpsamplingNearest2d)
_MOVES_FUNCTIONS = (F.interpolate, F.max_pool2d)
_JOINS = (torch.cat, torch.concat)
# The largest value each can return. Integers clamp for free only while they cannot hold more than that.
_CLAMP_MODULES: dict[type[nn.Module], float] = {nn.ReLU: math.inf, nn.ReLU6: 6.0}
_CLAMP_FUNCTIONS: dict[Any, float] = {F.relu: math.inf, torch.relu: math.inf, F.relu6: 6.0}


@dataclass(frozen=True)
class Affine:
    """real = scale * (q - zero_point)."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class Plan:
    """What each operation's result is quantised with.

    Attributes:
        ranges: As collected.
        shared: Name of the group by operation, where several operations have one scale; the widest range holds.
        float_paths: Module paths (and everything below them) that stay in floating point.
    """

    ranges: Ranges
    shared: dict[str, str] = field(default_factory=dict)
    float_paths: tuple[str, ...] = ()

    def range_of(self, key: str) -> tuple[float, float]:
        """Range of an operation's result, always containing 0 (zero padding must be exact) and never empty.

        Raises:
            ExportError: If the operation was not calibrated.
        """
        group = self.shared.get(key)
        members = [key] if group is None else [name for name, its in self.shared.items() if its == group]
        missing = [name for name in members if name not in self.ranges.values]
        if missing:
            raise ExportError(f"operation {missing[0]} has no calibrated range; calibrate the same network you export.")
        low = min(0.0, *(self.ranges.values[name][0] for name in members))
        high = max(0.0, *(self.ranges.values[name][1] for name in members))
        return (low, high) if high - low >= MIN_WIDTH else (0.0, 1.0)

    def u8(self, key: str) -> Affine:
        """Scale and zero point for uint8, asymmetric: x86."""
        # In float32 throughout, as ai-edge-quantizer computes them: the two files' scales are equal to the last bit.
        low, high = (np.float32(bound) for bound in self.range_of(key))
        scale = (high - low) / np.float32(255)
        return Affine(float(scale), int(np.rint(-low / scale)))

    def s8(self, key: str) -> Affine:
        """Scale and zero point for int8, asymmetric: TFLite. The same scale as `u8`, the zero point 128 lower."""
        unsigned = self.u8(key)
        return Affine(unsigned.scale, unsigned.zero_point - 128)

    def s8_symmetric(self, key: str) -> Affine:
        """Scale for int8 with zero point 0: TensorRT."""
        return Affine(float(np.float32(max(map(abs, self.range_of(key))) / 127)), 0)

    def is_float(self, key: str) -> bool:
        """Whether the plan keeps this operation in floating point."""
        return any(_below(key, path) for path in self.float_paths)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object; `from_json` reads it back to an equal plan."""
        return {"ranges": self.ranges.to_json(), "shared": self.shared, "float_paths": list(self.float_paths)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Plan:
        """Read what `to_json` wrote.

        Raises:
            ConfigError: If a key is missing or unknown.
        """
        if set(value) != {"ranges", "shared", "float_paths"}:
            raise ConfigError(f"a plan has the keys {sorted(value)}; ranges, shared, float_paths are needed.")
        return cls(Ranges.from_json(value["ranges"]), dict(value["shared"]), tuple(value["float_paths"]))


def make_plan(model: nn.Module, ranges: Ranges, float_paths: tuple[str, ...] = ()) -> Plan:
    """Decide which operations share a scale.

    Args:
        model: The folded network that `ranges` were collected on.
        ranges: One collection for every target.
        float_paths: Module paths to keep in floating point.

    Raises:
        ConfigError: If a float path names no operation of the network.
    """
    traced = trace(model)
    keys = node_keys(traced)
    for path in float_paths:
        if not any(_below(key, path) for key in keys.values()):
            raise ConfigError(f"float path {path!r} names no operation of the network.")
    modules = dict(traced.named_modules())
    groups = _Groups(keys, ranges, modules)
    for node in traced.graph.nodes:
        if _moves(node, modules):
            groups.join(node.args[0], node)
        elif node.op == "call_function" and node.target in _JOINS:
            groups.concatenate(node, node.args[0] if node.args else node.kwargs["tensors"])
    return Plan(ranges, groups.named(), float_paths)


def weight_scale(weight: np.ndarray, bias: np.ndarray | None, input_scale: float, axis: int) -> np.ndarray:
    """Symmetric int8 scale of each output channel.

    A channel of (nearly) no weight, as pruning leaves them, would get a scale so small that its bias overflows int32
    and integer kernels refuse the file; its scale is therefore bounded below by what its bias needs.

    Args:
        weight: Kernel, float32.
        bias: float32 (channels,), or None.
        input_scale: Scale of the activation it multiplies.
        axis: The axis of output channels.

    Returns:
        float32 (channels,), positive.
    """
    other = tuple(i for i in range(weight.ndim) if i != axis)
    widest = np.abs(weight).max(axis=other)
    # A channel 2^-16 times smaller than the layer's largest adds less than the rounding of its neighbours.
    floor = max(float(widest.max()) * 2.0**-16, 1e-9)
    scale = np.maximum(widest, floor) / 127
    if bias is not None:
        scale = np.maximum(scale, np.abs(bias) / (input_scale * MAX_BIAS))
    return scale.astype(np.float32)


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
            limits = [limit for member in self._members[part] if (limit := self._limit(member)) is not None]
            widened = bool(limits) and (low < 0 or high > min(limits))
            free = self._read_only_by(part, node) or high - low <= MAX_WIDENING * (own_high - own_low)
            if free and not widened:
                self.join(part, node)

    def named(self) -> dict[str, str]:
        names = {self._keys[node]: self._keys[group[0]] for node, group in self._members.items()}
        sizes = Counter(names.values())
        return {key: group for key, group in names.items() if sizes[group] > 1}

    def _span(self, nodes: list[fx.Node]) -> tuple[float, float]:
        members = [self._ranges.values[self._keys[m]] for n in nodes for m in self._members[n]]
        return min(0.0, *(low for low, _ in members)), max(0.0, *(high for _, high in members))

    def _limit(self, node: fx.Node) -> float | None:
        """The largest value a ReLU can return; None for another operation."""
        if node.op == "call_module":
            return _CLAMP_MODULES.get(type(self._modules[str(node.target)]))
        return _CLAMP_FUNCTIONS.get(node.target)

    def _read_only_by(self, part: fx.Node, reader: fx.Node) -> bool:
        group = self._members[part]
        return all(user is reader or user in group for member in group for user in member.users)


def _below(key: str, path: str) -> bool:
    return key == path or key.startswith((f"{path}.", f"{path}#"))


def _moves(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    if node.op == "call_module":
        return isinstance(modules[str(node.target)], _MOVES_MODULES)
    return node.op == "call_function" and node.target in _MOVES_FUNCTIONS
