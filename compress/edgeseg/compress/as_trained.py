"""An untrained network that costs what it will cost when it is trained."""

from __future__ import annotations

from torch import nn


def as_trained(model: nn.Module) -> None:
    """Give batch norms a bias, as any training does.

    Biases that are all 0 are left out of a file, a tenth of a small one. And without them the signal of a deep
    untrained network fades to 1e-9, for which INT8 scales are so small that LiteRT's built-in kernels end the process.

    Args:
        model: Changed in place.
    """
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.bias, 0.1)
