"""Small folded networks whose activations look like those of trained ones, and images for them."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from edgeseg.compress.int8.fold import fold_batch_norm
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch
from edgeseg.train.models.unet import unet_arch

ARCHS = {
    "student": efficient_unet_arch(1, 3, width=0.25, stages=3),
    "student_rgb": efficient_unet_arch(3, 2, width=0.25, stages=2),
    "unet": unet_arch(1, 3, base=4, depth=3),
    "unet_bilinear": unet_arch(1, 2, base=4, depth=3, upsampling="bilinear"),
}


def folded_network(name: str, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    model = build_model(ARCHS[name])
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
            nn.init.uniform_(module.weight, 0.2, 2.0)
            nn.init.normal_(module.bias, 0.3, 0.5)
    model.train()
    with torch.no_grad():
        for batch in images(ARCHS[name]["in_channels"], n=2, seed=9):
            model(torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255)
    return fold_batch_norm(model)


def images(channels: int = 1, n: int = 8, size: int = 64, seed: int = 0) -> list[np.ndarray]:
    """Smooth and noisy pixels, uint8 (1, size, size, C) each."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (n, 8, 8, channels)).repeat(size // 8, axis=1).repeat(size // 8, axis=2)
    pixels = np.clip(coarse + rng.normal(0, 10, coarse.shape), 0, 255).astype(np.uint8)
    return list(pixels[:, None])


def scores(model: nn.Module, batches: list[np.ndarray]) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.from_numpy(np.concatenate(batches)).permute(0, 3, 1, 2).float() / 255)
