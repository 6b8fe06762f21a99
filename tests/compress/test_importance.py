"""Every entry of IMPORTANCE works in the pruner; group L2 removes what is small, random is repeatable by seed."""

from __future__ import annotations

import pytest
import torch

from edgeseg.compress.importance import IMPORTANCE
from edgeseg.compress.prune import PruneConfig, prune
from edgeseg.train.models import build_model
from edgeseg.train.models.unet import unet_arch

LAYER = "down.0.0.0"  # first convolution of the first level: 32 channels that only the next one reads


def _pruned(importance: str, small: list[int], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights of the layer before and after removing half of it, with the channels `small` a hundred times weaker."""
    torch.manual_seed(0)
    model = build_model(unet_arch(1, 2, base=32, depth=2))
    layers = dict(model.named_modules())
    with torch.no_grad():
        layers[LAYER].weight[small] *= 0.01
        layers["down.0.0.1"].weight[small] *= 0.01
        layers["down.0.1.0"].weight[:, small] *= 0.01
    torch.manual_seed(seed)
    smaller = prune(model, {LAYER: 16}, PruneConfig(ratio=0.5, importance=importance), (16, 16))
    return layers[LAYER].weight.detach(), dict(smaller.named_modules())[LAYER].weight.detach()


@pytest.mark.parametrize("name", IMPORTANCE)
def test_kept_channels_are_channels_of_the_original(name: str) -> None:
    before, after = _pruned(name, small=[])
    assert after.shape == (16, *before.shape[1:])
    assert all(any(torch.equal(row, old) for old in before) for row in after)


def test_group_l2_removes_the_weak_ones() -> None:
    small = [0, 1, 5, 6, 7, 8, 11, 12, 16, 20, 21, 25, 28, 29, 30, 31]
    before, after = _pruned("group_l2", small)
    strong = [channel for channel in range(32) if channel not in small]
    assert torch.equal(after, before[strong])


def test_random_follows_torchs_seed_and_nothing_else() -> None:
    first, again, other = (_pruned("random", [], seed)[1] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
