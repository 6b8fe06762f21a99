"""What a network costs on paper: parameters, multiply-accumulates, bytes at a stated size."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Cost:
    """Cost of one inference.

    Attributes:
        params: Number of trained numbers, batch norm included.
        macs: Multiply-accumulates of convolutions and linear layers (1 MAC = 2 FLOPs).
        bytes_fp32: Bytes of the parameters in float32.
    """

    params: int
    macs: int
    bytes_fp32: int


def cost(model: nn.Module, shape: tuple[int, int, int, int]) -> Cost:
    """Count parameters and MACs by running one image through the network.

    Args:
        model: Left as it was.
        shape: (N, C, H, W) of the input that the MACs are stated for.
    """
    macs = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal macs
        weight = layer.weight
        if isinstance(layer, nn.ConvTranspose2d):
            macs += inputs[0].numel() // inputs[0].shape[1] * weight.numel()  # type: ignore[union-attr,operator]
        elif isinstance(layer, nn.Conv2d):
            macs += output.numel() // output.shape[1] * weight.numel()  # type: ignore[union-attr,operator]
        else:
            macs += output.numel() // output.shape[-1] * weight.numel()  # type: ignore[union-attr,operator]

    layers = [layer for layer in model.modules() if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear))]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    was_training = model.training
    device = next(model.parameters()).device
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(shape, device=device))
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    params = sum(parameter.numel() for parameter in model.parameters())
    return Cost(params, macs, 4 * params)
