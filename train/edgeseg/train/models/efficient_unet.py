"""The student: an EfficientNet-Lite encoder with a depthwise-separable U-Net decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.runtime.errors import ConfigError
from edgeseg.train.bilinear import double_bilinear
from edgeseg.train.models.blocks import SeparableConv
from edgeseg.train.models.lite_encoder import LiteEncoder, encoder_arch, round_channels

# Channels of the decoder at 1/16, 1/8, 1/4 and 1/2 of the image's size.
DECODER = (96, 64, 40, 24)
OUTPUT_STRIDES = (2, 4, 8)


@dataclass(frozen=True)
class Decoder:
    """The half of the network behind the encoder.

    Attributes:
        width: Multiplier of its channel counts, rounded to 8; None takes the encoder's.
        output_stride: Input pixels per logit along each side, 2, 4 or 8: where its levels end.
    """

    width: float | None = None
    output_stride: int = 2

    def __post_init__(self) -> None:
        if self.output_stride not in OUTPUT_STRIDES:
            raise ConfigError(f"the decoder's output stride is {self.output_stride}; known are 2, 4 and 8")


def efficient_unet_arch(
    in_channels: int,
    n_outputs: int,
    *,
    width: float = 1.0,
    depth: float = 1.0,
    stages: int = 7,
    decoder: Decoder = Decoder(),
) -> dict[str, Any]:
    """Architecture JSON of an EfficientUNet.

    Args:
        in_channels: 1 for gray, 3 for RGB.
        n_outputs: Logit planes K.
        width: Multiplier of every channel count, rounded to 8.
        depth: Multiplier of the repeats of the middle stages (the first and the last stay, as in Lite).
        stages: Encoder stages kept; 5 ends at stride 16, 6 or 7 at stride 32.
        decoder: Its width apart from the encoder's, and how far up it goes.

    Raises:
        ConfigError: If the encoder ends where the decoder should, so that none would be left.
    """
    encoder = encoder_arch(width=width, depth=depth, stages=stages)
    levels = _decoder_levels(sum(stage[0]["stride"] == 2 for stage in encoder["blocks"]), decoder.output_stride)
    decoder_width = width if decoder.width is None else decoder.width
    outs = [round_channels(channels * decoder_width) for channels in levels]
    return {
        "name": "efficient_unet",
        "in_channels": in_channels,
        "n_outputs": n_outputs,
        **encoder,
        "decoder": [{"reduce": channels, "out": channels} for channels in outs],
    }


def _decoder_levels(halvings: int, output_stride: int) -> tuple[int, ...]:
    """Channels from the encoder's end, `halvings` below the stem's 1/2, up to the output stride."""
    first, end = len(DECODER) - halvings, len(DECODER) - OUTPUT_STRIDES.index(output_stride)
    if first >= end:
        raise ConfigError(
            f"the encoder ends at stride {2 ** (halvings + 1)}, which leaves no decoder for output stride "
            f"{output_stride}; keep more stages, or answer finer"
        )
    return DECODER[first:end]


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
        x = double_bilinear(self.act(self.bn(self.reduce(x))))
        return self.merge(torch.cat([x, skip], dim=1))


class EfficientUNet(LiteEncoder):
    """EfficientNet-Lite encoder, separable decoder, logits at half resolution or coarser.

    Each level that the decoder lacks against the encoder's halvings doubles the output stride: 4 without the last one.
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
