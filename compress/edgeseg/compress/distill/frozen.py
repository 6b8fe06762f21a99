"""A teacher as it is asked where its answers are kept: folded, on the fastest device, at the training's precision."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from edgeseg.compress.distill.ensemble import folded
from edgeseg.train.models import SegmentationNet


def device() -> str:
    """Where a teacher is asked."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def frozen(network: SegmentationNet, precision: str) -> Callable[[Tensor], Tensor]:
    """What answers images.

    Args:
        network: The teacher; not modified.
        precision: `float32` or `bfloat16` of its forward pass.

    Returns:
        A function from images uint8 (N, C, H, W) to logits float32 (N, K, h, w) on `device()`.
    """
    where = device()
    teacher = folded(network).to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def answer(images: Tensor) -> Tensor:
        x = (images.to(where).float() / 255.0).contiguous(memory_format=torch.channels_last)
        with torch.autocast(where, torch.bfloat16, enabled=precision == "bfloat16"):
            logits: Tensor = teacher(x)
        return logits.float()

    return answer
