"""Bias correction: the mean error that rounded kernels add to each channel, measured and taken out of the bias.

Layer by layer, in the order of execution, on calibration images: the mean of a channel in the network with rounded
kernels, whose earlier layers are corrected already, is brought to its mean in the float network. Activations stay
float, so the correction is of the kernels alone and serves every engine that rounds them by the plan.

Two kinds of convolutions stay as they are: those the plan keeps in float, and those that read the image itself, which
LiteRT computes in float while ONNX Runtime does not; a correction for one would be an error in the other.

Reference:
    Nagel et al. 2019, arXiv:1906.04721, section 4.2 (the empirical variant).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from edgeseg.compress.graph.pairs import Conv
from edgeseg.compress.graph.trace import INPUT, Recorder, node_keys, trace
from edgeseg.compress.int8.plan import Plan, weight_scale

MAX_IMAGES = 16  # run as one batch, since each layer needs the means of all images before the next can be run


@dataclass(frozen=True)
class Corrected:
    """What was done.

    Attributes:
        model: The corrected copy, with the same module paths; only biases differ.
        shifts: Mean absolute change of the bias, by module path.
        n_images: Images looked at.
    """

    model: nn.Module
    shifts: dict[str, float] = field(default_factory=dict)
    n_images: int = 0


def correct_bias(model: nn.Module, plan: Plan, images: Iterable[np.ndarray]) -> Corrected:
    """Correct the biases of a folded network for the rounding of its kernels.

    Args:
        model: A folded network. Not modified.
        plan: Of this network: kernels are rounded with the scales that the INT8 writers give them.
        images: Calibration pixels, uint8 (N, H, W, C); the first 16 of the first one's size are looked at.

    Raises:
        ExportError: If the network cannot be traced, or the plan is of another one.
    """
    x = _batch(images)
    corrected = copy.deepcopy(model)
    rounding = _Rounding(corrected, plan, _means(model, x))
    with torch.no_grad():
        rounding.run(x)
    return Corrected(corrected, rounding.shifts, len(x))


def _batch(images: Iterable[np.ndarray]) -> Tensor:
    """float32 (N, C, H, W) in [0, 1]."""
    chosen: list[np.ndarray] = []
    for batch in images:
        chosen += [pixels for pixels in batch if not chosen or pixels.shape == chosen[0].shape]
        if len(chosen) >= MAX_IMAGES:
            break
    return torch.from_numpy(np.stack(chosen[:MAX_IMAGES])).permute(0, 3, 1, 2).float() / 255


def _means(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Mean of every channel of every operation, float64 (C,), in the float network."""
    means: dict[str, Tensor] = {}

    def note(key: str, value: Tensor) -> None:
        if value.dim() == 4:
            means[key] = value.double().mean(dim=(0, 2, 3))

    with torch.no_grad():
        Recorder(trace(model), note).run(x)
    return means


class _Rounding(fx.Interpreter):
    """Runs a network with rounded kernels and corrects each bias, in the network itself, as it comes by."""

    def __init__(self, model: nn.Module, plan: Plan, means: dict[str, Tensor]) -> None:
        traced = trace(model)
        super().__init__(traced)
        self._plan = plan
        self._means = means
        self._keys = node_keys(traced)
        self._calls = [str(node.target) for node in traced.graph.nodes if node.op == "call_module"]
        self.shifts: dict[str, float] = {}

    def run_node(self, n: fx.Node) -> Any:
        conv = self.fetch_attr(str(n.target)) if n.op == "call_module" else None
        if not isinstance(conv, Conv) or not self._rounds(n):
            return super().run_node(n)
        source = n.args[0]
        assert isinstance(source, fx.Node)
        kernel = conv.weight.detach().clone()
        conv.weight.copy_(_rounded(conv, self._plan.u8(self._keys[source]).scale))
        try:
            result = super().run_node(n)
        finally:
            conv.weight.copy_(kernel)
        if conv.bias is None or self._calls.count(str(n.target)) > 1:
            return result
        shift = (self._means[self._keys[n]] - result.double().mean(dim=(0, 2, 3))).to(result.dtype)
        conv.bias.add_(shift)
        self.shifts[str(n.target)] = float(shift.abs().mean())
        return result + shift.view(1, -1, 1, 1)

    def _rounds(self, n: fx.Node) -> bool:
        source = n.args[0]
        return self._keys.get(source) != INPUT and not self._plan.is_float(self._keys[n])  # type: ignore[arg-type]


def _rounded(conv: Conv, input_scale: float) -> Tensor:
    axis = 1 if isinstance(conv, nn.ConvTranspose2d) else 0
    weight = conv.weight.detach()
    bias = None if conv.bias is None else conv.bias.detach().numpy()
    scale = weight_scale(weight.numpy(), bias, input_scale, axis)
    steps = torch.from_numpy(scale).view((1, -1, 1, 1) if axis else (-1, 1, 1, 1))
    return (weight / steps).round().clamp(-127, 127) * steps
