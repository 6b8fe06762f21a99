"""The student: an EfficientNet-Lite encoder with a depthwise-separable U-Net decoder."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.train.models.blocks import SeparableConv, upsample2
from edgeseg.train.models.lite_encoder import LiteEncoder, encoder_arch, round_channels

DECODER = (96, 64, 40, 24)


def efficient_unet_arch(
    in_channels: int, n_outputs: int, *, width: float = 1.0, depth: float = 1.0, stages: int = 7
) -> dict[str, Any]:
    """Architecture JSON of an EfficientUNet.

    Args:
        in_channels: 1 for gray, 3 for RGB.
        n_outputs: Logit planes K.
        width: Multiplier of every channel count, rounded to 8.
        depth: Multiplier of the repeats of the middle stages (the first and the last stay, as in Lite).
        stages: Encoder stages kept; 5 ends at stride 16, 6 or 7 at stride 32.
    """
    encoder = encoder_arch(width=width, depth=depth, stages=stages)
    levels = sum(stage[0]["stride"] == 2 for stage in encoder["blocks"])
    decoder = [round_channels(channels * width) for channels in DECODER[-levels:]]
    return {
        "name": "efficient_unet",
        "in_channels": in_channels,
        "n_outputs": n_outputs,
        **encoder,
        "decoder": [{"reduce": channels, "out": channels} for channels in decoder],
    }


class DecoderBlock(nn.Module):
    """Reduce the deep features while they are small, upsample, join the skip, one separable convolution."""

    def __init__(self, in_channels: int, skip_channels: int, spec: dict[str, int]) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(in_channels, spec["reduce"], 1, bias=False)
        self.bn = nn.BatchNorm2d(spec["reduce"])
        self.act = nn.ReLU6(inplace=True)
        self.merge = SeparableConv(spec["reduce"] + skip_channels, spec["out"])

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(N, in, h, w) and the skip (N, s, 2h, 2w) to (N, out, 2h, 2w)."""
        x = upsample2(self.act(self.bn(self.reduce(x))))
        return self.merge(torch.cat([x, skip], dim=1))


class EfficientUNet(LiteEncoder):
    """EfficientNet-Lite encoder, separable decoder, logits at half resolution.

    A decoder with fewer levels than the encoder has halvings ends at a coarser one: stride 4 without the last level.
    """

    def __init__(self, arch: dict[str, Any]) -> None:
        super().__init__(arch)
        self.output_stride = 2 ** (1 + len(self.skip_channels) - len(arch["decoder"]))
        width = self.deepest
        self.decoder = nn.ModuleList()
        # A shorter decoder ends coarser.
        for spec, skip in zip(arch["decoder"], reversed(self.skip_channels), strict=False):
            self.decoder.append(DecoderBlock(width, skip, spec))
            width = spec["out"]
        self.head = nn.Conv2d(width, self.n_outputs, 1)

    @classmethod
    def from_arch(cls, arch: dict[str, Any]) -> EfficientUNet:
        """Build from the JSON of `efficient_unet_arch` or of a pruned network's `arch`."""
        return cls(arch)

    @property
    def arch(self) -> dict[str, Any]:
        """The architecture JSON, read off the layers, so it is true after pruning as well."""
        return {
            "name": "efficient_unet",
            "in_channels": self.conv_stem.in_channels,
            "n_outputs": self.n_outputs,
            **self.encoder_arch,
            "decoder": [
                {"reduce": block.reduce.out_channels, "out": block.merge.conv_pw.out_channels}  # type: ignore[union-attr]
                for block in self.decoder
            ],
        }

    def forward(self, x: Tensor) -> Tensor:
        """Map an image to logits at the decoder's resolution.

        Args:
            x: float32 (N, C, H, W) in [0, 1]; H and W multiples of `stride`.

        Returns:
            Logits (N, K, H / s, W / s) with s = `output_stride`.

        Raises:
            FrameError: If H or W is no multiple of `stride`.
        """
        x, skips = self.encode(x)
        for block in self.decoder:
            x = block(x, skips.pop())
        return self.head(x)
