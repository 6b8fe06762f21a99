"""The teacher: U-Net with batch norm (Ronneberger et al. 2015, arXiv:1505.04597, fig. 1)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.train.bilinear import double_bilinear
from edgeseg.train.models.blocks import ConvBnRelu, check_size
from edgeseg.train.models.net import SegmentationNet


def unet_arch(
    in_channels: int, n_outputs: int, *, base: int = 32, depth: int = 5, upsampling: str = "transposed"
) -> dict[str, Any]:
    """Architecture JSON of a U-Net whose width doubles at every level.

    Args:
        in_channels: 1 for gray, 3 for RGB.
        n_outputs: Logit planes K.
        base: Channels at full resolution; 32 gives 7.76 M parameters at depth 5.
        depth: Levels, the input must be a multiple of 2 ** (depth - 1).
        upsampling: `transposed` (2x2 transposed convolution) or `bilinear` (interpolation and a 1x1 convolution).
    """
    widths = [base * 2**level for level in range(depth)]
    return {
        "name": "unet",
        "in_channels": in_channels,
        "n_outputs": n_outputs,
        "upsampling": upsampling,
        "encoder": [[width, width] for width in widths],
        "up": widths[:-1],
        "decoder": [[width, width] for width in widths[:-1]],
    }


class UNet(SegmentationNet):
    """U-Net: two 3x3 convolutions a level, max pooling down, upsampling and concatenation up."""

    output_stride = 1

    def __init__(self, arch: dict[str, Any]) -> None:
        super().__init__()
        encoder, decoder, up = arch["encoder"], arch["decoder"], arch["up"]
        self.upsampling: str = arch["upsampling"]
        self.n_outputs: int = arch["n_outputs"]
        self.stride = 2 ** (len(encoder) - 1)
        self.down = nn.ModuleList()
        width = arch["in_channels"]
        for first, second in encoder:
            self.down.append(nn.Sequential(ConvBnRelu(width, first), ConvBnRelu(first, second)))
            width = second
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ModuleList()
        self.merge = nn.ModuleList()
        for level in reversed(range(len(decoder))):
            self.up.append(self._up(width, up[level]))
            first, second = decoder[level]
            self.merge.append(
                nn.Sequential(ConvBnRelu(encoder[level][1] + up[level], first), ConvBnRelu(first, second))
            )
            width = second
        self.head = nn.Conv2d(width, self.n_outputs, 1)

    def _up(self, in_channels: int, out_channels: int) -> nn.Module:
        if self.upsampling == "transposed":
            return nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2)
        # A 1x1 convolution commutes with the interpolation and is four times cheaper before it.
        return nn.Conv2d(in_channels, out_channels, 1)

    @classmethod
    def from_arch(cls, arch: dict[str, Any]) -> UNet:
        """Build from the JSON of `unet_arch` or of a pruned network's `arch`."""
        return cls(arch)

    @property
    def arch(self) -> dict[str, Any]:
        """The architecture JSON, read off the layers, so it is true after pruning as well."""
        levels = len(self.merge)
        up = [_out(layer) for layer in self.up]
        return {
            "name": "unet",
            "in_channels": self.down[0][0][0].in_channels,  # type: ignore[index,union-attr]
            "n_outputs": self.n_outputs,
            "upsampling": self.upsampling,
            "encoder": [_pair(block) for block in self.down],
            "up": [up[levels - 1 - level] for level in range(levels)],
            "decoder": [_pair(self.merge[levels - 1 - level]) for level in range(levels)],
        }

    def forward(self, x: Tensor) -> Tensor:
        """Map an image to logits at full resolution.

        Args:
            x: float32 (N, C, H, W) in [0, 1]; H and W multiples of `stride`.

        Returns:
            Logits (N, K, H, W).

        Raises:
            FrameError: If H or W is no multiple of `stride`.
        """
        check_size(x, self.stride)
        skips: list[Tensor] = []
        for block in self.down[:-1]:
            x = block(x)
            skips.append(x)  # (N, w, H / 2**level, W / 2**level)
            x = self.pool(x)
        x = self.down[-1](x)
        for up, merge in zip(self.up, self.merge, strict=True):
            x = up(x)
            if self.upsampling == "bilinear":
                x = double_bilinear(x)
            x = merge(torch.cat([skips.pop(), x], dim=1))
        return self.head(x)


def _out(layer: nn.Module) -> int:
    return int(layer.out_channels)  # type: ignore[arg-type]


def _pair(block: nn.Module) -> list[int]:
    return [_out(block[0][0]), _out(block[1][0])]  # type: ignore[index]
