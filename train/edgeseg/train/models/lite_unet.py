"""The pretrained teacher: an EfficientNet-Lite encoder with a full U-Net decoder (arXiv:1505.04597, fig. 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.train.bilinear import double_bilinear
from edgeseg.train.models.blocks import ConvBnRelu
from edgeseg.train.models.lite_encoder import PUBLISHED_BN_EPS, LiteEncoder, encoder_arch

DECODER = (192, 96, 64, 48)  # channels at stride 16, 8, 4 and 2


def lite_unet_arch(
    in_channels: int, n_outputs: int, *, width: float = 1.1, depth: float = 1.2, decoder: Sequence[int] = DECODER
) -> dict[str, Any]:
    """Architecture JSON of a LiteUNet; its encoder takes the published weights of that width and depth.

    Args:
        in_channels: 1 for gray, 3 for RGB.
        n_outputs: Logit planes K.
        width: Multiplier of the encoder's channel counts; 1.1 and depth 1.2 are Lite2.
        depth: Multiplier of the repeats of the encoder's middle stages.
        decoder: Channels of each level, deepest first.
    """
    return {
        "name": "lite_unet",
        "in_channels": in_channels,
        "n_outputs": n_outputs,
        **encoder_arch(width=width, depth=depth, bn_eps=PUBLISHED_BN_EPS),
        "decoder": [[channels, channels] for channels in decoder],
    }


class LiteUNet(LiteEncoder):
    """EfficientNet-Lite encoder, two 3x3 convolutions a decoder level, logits at half resolution."""

    def __init__(self, arch: dict[str, Any]) -> None:
        super().__init__(arch)
        self.output_stride = 2 ** (1 + len(self.skip_channels) - len(arch["decoder"]))
        width = self.deepest
        self.decoder = nn.ModuleList()
        for (first, second), skip in zip(arch["decoder"], reversed(self.skip_channels), strict=True):
            self.decoder.append(nn.Sequential(ConvBnRelu(width + skip, first), ConvBnRelu(first, second)))
            width = second
        self.head = nn.Conv2d(width, self.n_outputs, 1)

    @classmethod
    def from_arch(cls, arch: dict[str, Any]) -> LiteUNet:
        """Build from the JSON of `lite_unet_arch`, or of a network's `arch`."""
        return cls(arch)

    @property
    def arch(self) -> dict[str, Any]:
        """The architecture JSON, read off the layers."""
        return {
            "name": "lite_unet",
            "in_channels": self.conv_stem.in_channels,
            "n_outputs": self.n_outputs,
            **self.encoder_arch,
            "decoder": [[block[0][0].out_channels, block[1][0].out_channels] for block in self.decoder],  # type: ignore[index]
        }

    def forward(self, x: Tensor) -> Tensor:
        """Map an image to logits at half resolution.

        Args:
            x: float32 (N, C, H, W) in [0, 1]; H and W multiples of `stride`.

        Returns:
            Logits (N, K, H / 2, W / 2).

        Raises:
            FrameError: If H or W is no multiple of `stride`.
        """
        x, skips = self.encode(x)
        for block in self.decoder:
            x = block(torch.cat([double_bilinear(x), skips.pop()], dim=1))
        return self.head(x)
