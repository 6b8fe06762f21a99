"""The student: an EfficientNet-Lite encoder with a depthwise-separable U-Net decoder.

The Lite kind (ReLU6, no squeeze-excite, no swish) keeps its accuracy in INT8; the parameter names of the encoder equal
timm's `tf_efficientnet_lite*`. Padding is symmetric, where TensorFlow's `same` is not at stride 2.

Reference:
    Tan and Le 2019, arXiv:1905.11946 (the scaling); TensorFlow's EfficientNet-Lite, 2020 (the Lite changes).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.runtime.errors import ConfigError
from edgeseg.train.models.blocks import SeparableConv, check_size, upsample2
from edgeseg.train.models.net import SegmentationNet

# EfficientNet-Lite0: expansion, channels, repeats, stride, kernel; the stem before it has 32 channels and stride 2.
LITE0: tuple[tuple[int, int, int, int, int], ...] = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
STEM = 32
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


def round_channels(channels: float, divisor: int = 8) -> int:
    """Round to a multiple of `divisor`, never more than 10 % down (the rule of the EfficientNet authors)."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor


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
    stem = round_channels(STEM * width)
    blocks: list[list[dict[str, Any]]] = []
    previous = stem
    for index, (expansion, channels, repeats, stride, kernel) in enumerate(LITE0[:stages]):
        out = round_channels(channels * width)
        count = repeats if index in (0, len(LITE0) - 1) else math.ceil(repeats * depth)
        stage = []
        for repeat in range(count):
            step = stride if repeat == 0 else 1
            block = {"mid": previous * expansion, "out": out, "kernel": kernel, "stride": step}
            stage.append(block | {"expand": expansion != 1, "skip": step == 1 and previous == out})
            previous = out
        blocks.append(stage)
    levels = _decoder_levels(sum(stage[0]["stride"] == 2 for stage in blocks), decoder.output_stride)
    decoder_width = width if decoder.width is None else decoder.width
    outs = [round_channels(channels * decoder_width) for channels in levels]
    return {
        "name": "efficient_unet",
        "in_channels": in_channels,
        "n_outputs": n_outputs,
        "stem": stem,
        "blocks": blocks,
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


def _skips(in_channels: int, spec: dict[str, Any]) -> bool:
    """Whether a block adds its input: as its JSON says, since pruning can make two widths equal by chance.

    JSON of the first release has no such key; its networks add wherever shapes allow it.
    """
    return bool(spec.get("skip", spec["stride"] == 1 and in_channels == spec["out"]))


class DepthwiseSeparable(nn.Module):
    """The first stage's block: depthwise, then linear pointwise; timm's names."""

    def __init__(self, in_channels: int, spec: dict[str, Any]) -> None:
        super().__init__()
        kernel, stride = spec["kernel"], spec["stride"]
        self.skip = _skips(in_channels, spec)
        self.conv_dw = nn.Conv2d(in_channels, in_channels, kernel, stride, kernel // 2, groups=in_channels, bias=False)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.act1 = nn.ReLU6(inplace=True)
        self.conv_pw = nn.Conv2d(in_channels, spec["out"], 1, bias=False)
        self.bn2 = nn.BatchNorm2d(spec["out"])

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H / stride, W / stride)."""
        y = self.bn2(self.conv_pw(self.act1(self.bn1(self.conv_dw(x)))))
        return x + y if self.skip else y


class InvertedResidual(nn.Module):
    """Expand, depthwise, project (Sandler et al. 2018, arXiv:1801.04381); timm's names."""

    def __init__(self, in_channels: int, spec: dict[str, Any]) -> None:
        super().__init__()
        kernel, stride, mid = spec["kernel"], spec["stride"], spec["mid"]
        self.skip = _skips(in_channels, spec)
        self.conv_pw = nn.Conv2d(in_channels, mid, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(mid)
        self.act1 = nn.ReLU6(inplace=True)
        self.conv_dw = nn.Conv2d(mid, mid, kernel, stride, kernel // 2, groups=mid, bias=False)
        self.bn2 = nn.BatchNorm2d(mid)
        self.act2 = nn.ReLU6(inplace=True)
        self.conv_pwl = nn.Conv2d(mid, spec["out"], 1, bias=False)
        self.bn3 = nn.BatchNorm2d(spec["out"])

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H / stride, W / stride)."""
        y = self.act1(self.bn1(self.conv_pw(x)))
        y = self.act2(self.bn2(self.conv_dw(y)))
        y = self.bn3(self.conv_pwl(y))
        return x + y if self.skip else y


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


class EfficientUNet(SegmentationNet):
    """EfficientNet-Lite encoder, separable decoder, logits at half resolution or coarser.

    Each level that the decoder lacks against the encoder's halvings doubles the output stride: 4 without the last one.
    """

    def __init__(self, arch: dict[str, Any]) -> None:
        super().__init__()
        self.n_outputs: int = arch["n_outputs"]
        stem = arch["stem"]
        self.conv_stem = nn.Conv2d(arch["in_channels"], stem, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.act1 = nn.ReLU6(inplace=True)
        self.blocks = nn.ModuleList()
        width, skips = stem, [0]
        for stage in arch["blocks"]:
            if stage[0]["stride"] == 2:
                skips.append(width)
            layers = []
            for spec in stage:
                layers.append(InvertedResidual(width, spec) if spec["expand"] else DepthwiseSeparable(width, spec))
                width = spec["out"]
            self.blocks.append(nn.Sequential(*layers))
        self.stride = 2 ** len(skips)
        self.output_stride = 2 ** (len(skips) - len(arch["decoder"]))
        self.decoder = nn.ModuleList()
        for spec, skip in zip(arch["decoder"], reversed(skips[1:]), strict=False):  # a shorter decoder ends coarser
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
            "stem": self.conv_stem.out_channels,
            "blocks": [[_read_block(block) for block in stage] for stage in self.blocks],  # type: ignore[attr-defined]
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
        check_size(x, self.stride)
        x = self.act1(self.bn1(self.conv_stem(x)))  # (N, stem, H / 2, W / 2)
        skips: list[Tensor] = []
        for stage in self.blocks:
            if stage[0].conv_dw.stride == (2, 2):  # type: ignore[index,union-attr]
                skips.append(x)  # the last features before the size halves
            x = stage(x)
        for block in self.decoder:
            x = block(x, skips.pop())
        return self.head(x)


def _read_block(block: nn.Module) -> dict[str, Any]:
    last = block.conv_pwl if isinstance(block, InvertedResidual) else block.conv_pw
    depthwise: Any = block.conv_dw
    return {
        "mid": depthwise.out_channels,
        "out": last.out_channels,  # type: ignore[union-attr]
        "kernel": depthwise.kernel_size[0],
        "stride": depthwise.stride[0],
        "expand": isinstance(block, InvertedResidual),
        "skip": block.skip,
    }
