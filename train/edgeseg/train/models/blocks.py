"""Pieces both networks use: convolution blocks, upsampling, the check of the input size."""

from __future__ import annotations

import torch
import torch.fx
from torch import Tensor, nn

from edgeseg.runtime.errors import FrameError


def check_size(x: Tensor, stride: int) -> None:
    """Refuse an input whose height or width is no multiple of the network's stride.

    Raises:
        FrameError: With the size found and the nearest larger size that works.
    """
    if isinstance(x, torch.fx.Proxy) or torch.compiler.is_compiling():
        return  # a tracer has no size yet, and reading one would fix it in the exported graph
    height, width = int(x.shape[-2]), int(x.shape[-1])
    if height % stride or width % stride:
        up = (-(-height // stride) * stride, -(-width // stride) * stride)
        raise FrameError(
            f"input is {height}x{width}, but this network needs multiples of {stride}; pad it to {up[0]}x{up[1]}"
        )


class ConvBnRelu(nn.Sequential):
    """3x3 convolution, batch norm, ReLU: (N, in, H, W) to (N, out, H, W)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class SeparableConv(nn.Module):
    """Depthwise 3x3 and pointwise 1x1 convolution, each with batch norm and ReLU6."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.act1 = nn.ReLU6(inplace=True)
        self.conv_pw = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.act2 = nn.ReLU6(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H, W)."""
        x = self.act1(self.bn1(self.conv_dw(x)))
        return self.act2(self.bn2(self.conv_pw(x)))
