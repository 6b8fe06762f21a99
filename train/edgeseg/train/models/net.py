"""What every network of `MODELS` offers beside `nn.Module`."""

from __future__ import annotations

from typing import Any

from torch import nn


class SegmentationNet(nn.Module):
    """A network that maps float32 (N, C, H, W) in [0, 1] to logits (N, K, H / output_stride, W / output_stride).

    Attributes:
        stride: Height and width of the input must be multiples of it [px].
        output_stride: Input pixels per logit along each side.
        n_outputs: Logit planes K: one a class, or one alone for a binary task.
    """

    stride: int
    output_stride: int
    n_outputs: int

    @property
    def arch(self) -> dict[str, Any]:
        """Architecture JSON with every channel width; `build_model` rebuilds the network from it."""
        raise NotImplementedError
