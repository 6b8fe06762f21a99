"""The precision plan: from ranges to scales and zero points, the same for every engine.

A plan holds ranges, not scales, because targets differ: x86 wants u8 asymmetric activations, TFLite s8 asymmetric ones
(the same scale, the zero point 128 lower), TensorRT s8 symmetric ones. Operations that only move or interpolate values
(resize, max pooling, concatenation) share the range of their inputs where that avoids a second rounding.

Reference:
    Jacob et al. 2018, arXiv:1712.05877, section 2.1 and 3.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from torch import nn

from edgeseg.compress.graph.trace import node_keys, trace
from edgeseg.compress.int8.calibrate import MIN_WIDTH, Ranges
from edgeseg.compress.int8.sharing import shared_scales
from edgeseg.runtime.errors import ConfigError

# Biases are int32 with scale activation * weight; half the int32 range leaves room for the sum of products.
MAX_BIAS = float(1 << 30)


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
        pairs = [self.ranges.of(name) for name in members]
        low = min(0.0, *(pair[0] for pair in pairs))
        high = max(0.0, *(pair[1] for pair in pairs))
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

    def s16_symmetric(self, key: str) -> Affine:
        """Scale for int16 with zero point 0: TFLite's 16x8."""
        return Affine(float(np.float32(max(map(abs, self.range_of(key)))) / np.float32(32767)), 0)

    def is_float(self, key: str) -> bool:
        """Whether the plan keeps this operation in floating point."""
        return any(_below(key, path) for path in self.float_paths)


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
    return Plan(ranges, shared_scales(traced, keys, ranges), float_paths)


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
    result: np.ndarray = scale.astype(np.float32)
    return result


def _below(key: str, path: str) -> bool:
    return key == path or key.startswith((f"{path}.", f"{path}#"))
