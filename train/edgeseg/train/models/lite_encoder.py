"""The EfficientNet-Lite encoder, which networks with a decoder of their own share.

The Lite kind (ReLU6, no squeeze-excite, no swish) keeps its accuracy in INT8; parameter names equal timm's
`tf_efficientnet_lite*`. Padding is symmetric, where TensorFlow's `same` is not at stride 2.

Reference:
    Tan and Le 2019, arXiv:1905.11946 (the scaling); TensorFlow's EfficientNet-Lite, 2020 (the Lite changes).
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from edgeseg.train.models.blocks import check_size
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
# Added to a batch norm's variance: torch's own value, and the one that published weights were trained with.
BN_EPS, PUBLISHED_BN_EPS = 1e-5, 1e-3


def round_channels(channels: float, divisor: int = 8) -> int:
    """Round to a multiple of `divisor`, never more than 10 % down (the rule of the EfficientNet authors)."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor


def encoder_arch(*, width: float = 1.0, depth: float = 1.0, stages: int = 7, bn_eps: float = BN_EPS) -> dict[str, Any]:
    """The encoder's part of an architecture JSON: `stem`, `blocks`, and `bn_eps` where it is not torch's.

    Args:
        width: Multiplier of every channel count, rounded to 8.
        depth: Multiplier of the repeats of the middle stages (the first and the last stay, as in Lite).
        stages: Encoder stages kept; 5 ends at stride 16, 6 or 7 at stride 32.
        bn_eps: What its batch norms add to a variance.
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
    return {"stem": stem, "blocks": blocks, **_eps_entry(bn_eps)}


def _eps_entry(bn_eps: float) -> dict[str, float]:
    """Nothing for torch's own value, as in the JSON of networks without published weights."""
    return {} if bn_eps == BN_EPS else {"bn_eps": bn_eps}


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


class LiteEncoder(SegmentationNet):
    """Stem and stages; a network derives from it, adds its decoder, and calls `encode`.

    Attributes:
        skip_channels: Channels of what `encode` hands to a decoder, at stride 2, 4, ...
        deepest: Channels at the deepest stride.
    """

    def __init__(self, arch: dict[str, Any]) -> None:
        super().__init__()
        self.n_outputs: int = arch["n_outputs"]
        stem = arch["stem"]
        self.conv_stem = nn.Conv2d(arch["in_channels"], stem, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.act1 = nn.ReLU6(inplace=True)
        self.blocks = nn.ModuleList()
        self.skip_channels: list[int] = []
        width = stem
        for stage in arch["blocks"]:
            if stage[0]["stride"] == 2:
                self.skip_channels.append(width)
            layers = []
            for spec in stage:
                layers.append(InvertedResidual(width, spec) if spec["expand"] else DepthwiseSeparable(width, spec))
                width = spec["out"]
            self.blocks.append(nn.Sequential(*layers))
        self.deepest: int = width
        self.stride = 2 ** (1 + len(self.skip_channels))
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eps = arch.get("bn_eps", BN_EPS)

    @property
    def encoder_arch(self) -> dict[str, Any]:
        """Its part of the architecture JSON, read off the layers, so it is true after pruning as well."""
        blocks = [[_read_block(block) for block in stage] for stage in self.blocks]  # type: ignore[attr-defined]
        return {"stem": self.conv_stem.out_channels, "blocks": blocks, **_eps_entry(self.bn1.eps)}

    def encode(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """From an image to features.

        Args:
            x: float32 (N, C, H, W) in [0, 1]; H and W multiples of `stride`.

        Returns:
            The deepest features (N, `deepest`, H / stride, W / stride), and those before each halving, at stride 2, 4,
            and so on, with `skip_channels`.

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
        return x, skips


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
