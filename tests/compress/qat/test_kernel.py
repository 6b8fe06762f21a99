"""A rounded convolution: the numbers that the INT8 writers round it to, and a gradient that passes the rounding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from edgeseg.compress.int8.plan import weight_scale
from edgeseg.compress.qat.kernel import RoundedConv

CONVS = {
    "dense": lambda: nn.Conv2d(6, 8, 3, padding=1, stride=2),
    "depthwise": lambda: nn.Conv2d(8, 8, 3, padding=1, groups=8),
    "without_bias": lambda: nn.Conv2d(6, 8, 1, bias=False),
    "transposed": lambda: nn.ConvTranspose2d(6, 8, 2, stride=2),
}


def _conv(name: str) -> nn.Conv2d | nn.ConvTranspose2d:
    torch.manual_seed(0)
    conv = CONVS[name]()
    with torch.no_grad():
        one = (slice(None), 3) if name == "transposed" else 3
        conv.weight[one] *= 1e-7  # as pruning leaves them: its scale comes from the floor, or from its bias
        if conv.bias is not None:
            conv.bias[3] = 5.0
    return conv


@pytest.mark.parametrize("name", CONVS)
def test_scales_are_those_of_the_plan_to_the_last_bit(name: str) -> None:
    conv, axis = _conv(name), int(name == "transposed")
    bias = None if conv.bias is None else conv.bias.detach().numpy()
    expected = weight_scale(conv.weight.detach().numpy(), bias, 1e-5, axis)
    assert np.array_equal(RoundedConv(conv, 1e-5, rounds_bias=True).scale().numpy(), expected)


@pytest.mark.parametrize("name", CONVS)
@pytest.mark.parametrize("rounds_bias", [True, False])
def test_it_computes_with_whole_multiples_of_its_scales(name: str, rounds_bias: bool) -> None:
    conv, axis, step = _conv(name), int(name == "transposed"), 0.02
    x = torch.rand(2, conv.in_channels, 6, 8)
    found = RoundedConv(conv, step, rounds_bias)(x)
    weight = conv.weight.detach().numpy()
    bias = None if conv.bias is None else conv.bias.detach().numpy()
    scale = weight_scale(weight, bias, step, axis)
    along = scale.reshape([-1 if one == axis else 1 for one in range(4)])
    with torch.no_grad():
        conv.weight.copy_(torch.from_numpy(np.rint(weight / along).clip(-127, 127) * along))
        if bias is not None and rounds_bias:
            steps = np.float32(step) * scale
            conv.bias.copy_(torch.from_numpy(np.rint(bias / steps) * steps))
        expected = conv(x)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", CONVS)
def test_the_gradient_passes_the_rounding_as_if_it_were_not_there(name: str) -> None:
    conv = _conv(name)
    x = torch.rand(2, conv.in_channels, 6, 8)
    with torch.no_grad():  # integers to begin with, so that both compute the same
        rounded = RoundedConv(conv, 0.02, rounds_bias=True)
        axis = int(name == "transposed")
        along = rounded.scale().view([-1 if one == axis else 1 for one in range(4)])
        conv.weight.copy_((conv.weight / along).round() * along)
    weights = torch.rand_like(conv(x))
    wanted = torch.autograd.grad((conv(x) * weights).sum(), list(conv.parameters()))
    found = torch.autograd.grad((rounded(x) * weights).sum(), list(conv.parameters()))
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)
