"""A convolution whose kernel is rounded as the INT8 file holds it; the scales follow the weights."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.compress.graph.pairs import Conv
from edgeseg.compress.int8.plan import MAX_BIAS

_LARGEST = 127


class RoundedConv(nn.Module):
    """Takes over kernel and bias of a convolution, under their names.

    The gradient passes the rounding as if it were not there (straight-through, Bengio et al. 2013, arXiv:1308.3432).

    Args:
        conv: With zero padding.
        input_scale: Scale of the activation that it reads.
        rounds_bias: Whether biases are whole multiples of the products' scale, as int32 has them.
    """

    def __init__(self, conv: Conv, input_scale: float, rounds_bias: bool) -> None:
        super().__init__()
        self._rounds_bias = rounds_bias
        self.weight, self.bias = conv.weight, conv.bias
        self._input_scale = input_scale
        self._transposed = isinstance(conv, nn.ConvTranspose2d)
        self._axis = 1 if self._transposed else 0  # of output channels
        self._settings: dict[str, Any] = {
            name: getattr(conv, name) for name in ("stride", "padding", "dilation", "groups")
        }
        if self._transposed:
            self._settings["output_padding"] = conv.output_padding

    def forward(self, x: Tensor) -> Tensor:
        """As the convolution, float32 (N, C, H, W)."""
        convolve = F.conv_transpose2d if self._transposed else F.conv2d
        scale = self.scale()
        zeros = torch.zeros(len(scale), dtype=torch.int32, device=scale.device)
        kernel = torch.fake_quantize_per_channel_affine(self.weight, scale, zeros, self._axis, -_LARGEST, _LARGEST)
        bias = self.bias
        if bias is not None and self._rounds_bias:
            step = self._input_scale * scale
            bias = bias + ((bias / step).round() * step - bias).detach()
        result: Tensor = convolve(x, kernel, bias, **self._settings)
        return result

    @torch.no_grad()
    def scale(self) -> Tensor:
        """Of each output channel, float32 (channels,): `plan.weight_scale` of the weights as they are."""
        other = [axis for axis in range(self.weight.dim()) if axis != self._axis]
        widest = self.weight.abs().amax(dim=other)
        floor = (widest.max() * 2.0**-16).clamp(min=1e-9)
        scale = torch.maximum(widest, floor) / _LARGEST
        return scale if self.bias is None else torch.maximum(scale, self.bias.abs() / (self._input_scale * MAX_BIAS))
