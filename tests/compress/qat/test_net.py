"""A network that rounds while it learns: which tensors, what it hands back, where the gradient goes."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from edgeseg.compress.int8.calibrate import collect_ranges
from edgeseg.compress.int8.layers import int8_layers
from edgeseg.compress.int8.plan import Plan, make_plan
from edgeseg.compress.qat.net import RoundingNet, rounding
from edgeseg.compress.qat.rule import RULES
from edgeseg.runtime.errors import ConfigError

from ..lived_in import folded_network, images

SIGNED = replace(RULES["arm64-ort"], min_channels=1)  # the test's network is narrow


def _parts(name: str = "student") -> tuple[nn.Module, Plan, torch.Tensor]:
    folded = folded_network(name)
    drawn = images()
    plan = make_plan(folded, collect_ranges(folded, drawn))
    pixels = torch.from_numpy(drawn[0]).permute(0, 3, 1, 2).float() / 255
    return folded, plan, pixels


def _roundings(net: RoundingNet) -> list[tuple[float, int]]:
    called = [node for node in net.net.graph.nodes if node.target is torch.fake_quantize_per_tensor_affine]
    return [(node.args[1], node.args[2]) for node in called]


def _steps(values: torch.Tensor, scale: float) -> torch.Tensor:
    return (values / scale - (values / scale).round()).abs().max()


def test_it_has_the_folded_networks_weights_and_hands_trained_ones_back() -> None:
    folded, plan, _ = _parts()
    before = copy.deepcopy(folded.state_dict())
    net = rounding(folded, plan, RULES["x86-ort"])
    assert (net.stride, net.output_stride, net.n_outputs) == (folded.stride, folded.output_stride, 3)
    assert net.net.state_dict().keys() == folded.state_dict().keys()
    same = net.weights_into(folded).state_dict()
    assert all(torch.equal(same[name], value) for name, value in before.items())
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1.0)
    changed = net.weights_into(folded).state_dict()
    for name, value in before.items():
        assert torch.equal(changed[name], value + 1.0)
        assert torch.equal(folded.state_dict()[name], value), "the folded network is not to be modified"


def test_everything_that_a_layer_returns_is_rounded_on_x86() -> None:
    folded, plan, x = _parts()
    net = rounding(folded, plan, RULES["x86-ort"])
    scores = net(x).detach()
    assert _steps(scores, plan.u8("head").scale) < 1e-3 and not torch.equal(scores, folded(x))
    # One a layer: convolutions with their ReLU6, additions, concatenations and resizes; of the pixels none.
    assert len(_roundings(net)) == len(int8_layers(folded)) > 20


def test_signed_integers_have_no_zero_point_and_leave_the_scores() -> None:
    folded, plan, x = _parts()
    net = rounding(folded, plan, SIGNED)
    assert {zero for _, zero in _roundings(net)} == {0}
    assert _steps(net(x).detach(), plan.s8_symmetric("head").scale) > 0.01
    assert len(_roundings(net)) < len(_roundings(rounding(folded, plan, RULES["x86-ort"])))


def test_a_layer_kept_in_float_is_not_rounded() -> None:
    folded, plan, x = _parts()
    kept = rounding(folded, replace(plan, float_paths=("head",)), RULES["x86-ort"])
    assert _steps(kept(x).detach(), plan.u8("head").scale) > 0.01
    assert len(_roundings(kept)) == len(_roundings(rounding(folded, plan, RULES["x86-ort"]))) - 1
    # LiteRT computes a convolution of a gray image in float; what it returns is rounded by whoever reads it.
    stem = {rule: rounding(folded, plan, RULES[rule]).net.get_submodule("conv_stem") for rule in RULES}
    assert {rule for rule, conv in stem.items() if isinstance(conv, nn.Conv2d)} == {"x86-litert", "arm64-ort"}


def test_nothing_in_integers_is_nothing_to_train_for() -> None:
    folded, plan, _ = _parts()
    whole = tuple(dict.fromkeys(key.partition(".")[0] for key in plan.ranges.values if key != "image"))
    with pytest.raises(ConfigError, match=r"quantize\.float_paths .* take quantize\.qat out"):
        rounding(folded, replace(plan, float_paths=whole), RULES["x86-ort"])


@pytest.mark.parametrize("rule", RULES)
def test_every_weight_learns_but_from_no_value_that_saturates(rule: str) -> None:
    folded, plan, x = _parts()
    net = rounding(folded, plan, RULES[rule]).train()
    net(x).square().mean().backward()
    assert all(one.grad is not None and bool(one.grad.abs().sum() > 0) for one in net.parameters())
    narrow = replace(plan, ranges=replace(plan.ranges, values=plan.ranges.values | {"head": (-1e-5, 1e-5)}))
    net = rounding(folded, narrow, RULES["x86-ort"])
    net(x).square().mean().backward()
    assert all(not one.grad.any() for one in net.parameters() if one.grad is not None)


def test_it_is_copied_as_a_whole() -> None:
    """As averaging does: the copy computes with its own weights."""
    folded, plan, x = _parts("unet_bilinear")
    net = rounding(folded, plan, RULES["x86-ort"])
    twin = copy.deepcopy(net)
    assert torch.equal(net(x), twin(x))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(0.5)
    assert not torch.equal(net(x), twin(x))
