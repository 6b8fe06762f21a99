"""Parameters and multiply-accumulates against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgeseg.compress.cost import Cost, cost
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch
from edgeseg.train.models.lite_unet import lite_unet_arch
from edgeseg.train.models.unet import unet_arch


@pytest.mark.parametrize(
    ("layer", "macs", "params"),
    [
        (nn.Conv2d(4, 8, 3, padding=1), 10 * 12 * 8 * 4 * 9, 8 * 4 * 9 + 8),
        (nn.Conv2d(4, 8, 3, stride=2, padding=1, bias=False), 5 * 6 * 8 * 4 * 9, 8 * 4 * 9),
        (nn.Conv2d(4, 4, 5, padding=2, groups=4, bias=False), 10 * 12 * 4 * 25, 4 * 25),
        (nn.ConvTranspose2d(4, 6, 2, stride=2), 10 * 12 * 4 * 6 * 4, 4 * 6 * 4 + 6),
        (nn.Linear(12, 7), 4 * 10 * 12 * 7, 12 * 7 + 7),
        (nn.BatchNorm2d(4), 0, 8),
    ],
    ids=["conv", "stride", "depthwise", "transposed", "linear", "norm"],
)
def test_one_layer(layer: nn.Module, macs: int, params: int) -> None:
    assert cost(layer, (1, 4, 10, 12)) == Cost(params, macs, 4 * params)


def test_macs_grow_with_the_batch_and_the_area() -> None:
    model = build_model(efficient_unet_arch(1, 3, width=0.25, depth=0.34, stages=5))
    one = cost(model, (1, 1, 32, 32))
    assert cost(model, (3, 1, 32, 32)).macs == 3 * one.macs
    assert cost(model, (1, 1, 64, 64)).macs == 4 * one.macs
    assert cost(model, (1, 1, 64, 64)).params == one.params


def test_a_layer_used_twice_counts_twice() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 1, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(self.conv(x))

    assert cost(Twice(), (1, 2, 4, 4)) == Cost(4, 2 * 16 * 4, 16)


def test_the_model_is_left_as_it_was() -> None:
    model = build_model(unet_arch(1, 2, base=4, depth=3)).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    cost(model, (1, 1, 16, 16))
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_hooks_go_even_when_the_run_fails() -> None:
    model = build_model(unet_arch(1, 2, base=4, depth=3))
    with pytest.raises(Exception, match="multiples of 4"):
        cost(model, (1, 1, 15, 16))
    assert not any(module._forward_hooks for module in model.modules())


def test_the_teachers() -> None:
    assert cost(build_model(lite_unet_arch(1, 3)), (1, 1, 32, 32)).params == pytest.approx(6.0e6, rel=0.01)
    assert cost(build_model(unet_arch(1, 3)), (1, 1, 32, 32)).params == pytest.approx(7.76e6, rel=0.005)
