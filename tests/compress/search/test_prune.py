"""Structured pruning: through skip concatenations, depthwise and transposed convolutions; exact where it can be."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import torch
from torch import nn

from edgeseg.compress.cost import cost
from edgeseg.compress.search.prune import prune, target_widths
from edgeseg.runtime.errors import ConfigError, EdgesegError
from edgeseg.train.models import MODELS, build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch
from edgeseg.train.models.lite_unet import lite_unet_arch
from edgeseg.train.models.unet import unet_arch

ARCHS: dict[str, dict[str, Any]] = {
    "unet-transposed": unet_arch(1, 3, base=16, depth=3),
    "unet-bilinear": unet_arch(3, 1, base=16, depth=3, upsampling="bilinear"),
    "efficient_unet": efficient_unet_arch(1, 3, width=0.5, depth=0.5),
    "lite_unet": lite_unet_arch(1, 3, width=0.5, depth=0.34, decoder=(32, 16, 16, 16)),
    "efficient_unet-short": efficient_unet_arch(3, 1, width=0.5, depth=1.0, stages=5),
}
SIZE = (64, 64)


def _model(arch: dict[str, Any]) -> nn.Module:
    torch.manual_seed(0)
    model = build_model(arch).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
    return model


def _widths(model: nn.Module) -> dict[str, int]:
    layers = (nn.Conv2d, nn.ConvTranspose2d)
    return {name: layer.out_channels for name, layer in model.named_modules() if isinstance(layer, layers)}


def _image(arch: dict[str, Any]) -> torch.Tensor:
    return torch.rand((2, arch["in_channels"], *SIZE), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module", params=ARCHS, ids=str)
def pair(request: pytest.FixtureRequest) -> tuple[nn.Module, nn.Module]:
    """A network and what is left of it after removing half of every width."""
    model = _model(ARCHS[request.param])
    return model, prune(model, target_widths(model, 0.5), SIZE)


def test_every_model_is_tested() -> None:
    assert {arch["name"] for arch in ARCHS.values()} == set(MODELS)


def test_channels_are_multiples_of_eight_and_on_target(pair: tuple[nn.Module, nn.Module]) -> None:
    model, smaller = pair
    before, after = _widths(model), _widths(smaller)
    wanted = target_widths(model, 0.5)
    assert before.keys() == after.keys()
    assert after.pop("head") == before["head"]
    assert {name: width for name, width in after.items() if width % 8} == {}
    # A depthwise layer has no width of its own: it follows what it reads, such as a skip beside the decoder.
    assert {name: (after[name], width) for name, width in wanted.items() if after[name] != width} == {}


def test_cost_drops_and_the_forward_works(pair: tuple[nn.Module, nn.Module]) -> None:
    model, smaller = pair
    shape = (1, model.arch["in_channels"], *SIZE)
    before, after = cost(model, shape), cost(smaller, shape)
    assert after.macs < 0.55 * before.macs
    assert after.params < 0.55 * before.params
    with torch.no_grad():
        logits = smaller(_image(model.arch))
    assert logits.shape == (2, model.n_outputs, *(side // model.output_stride for side in SIZE))
    assert torch.isfinite(logits).all()


def test_rebuilt_from_json_it_gives_equal_outputs(pair: tuple[nn.Module, nn.Module]) -> None:
    _, smaller = pair
    twin = build_model(json.loads(json.dumps(smaller.arch))).eval()
    twin.load_state_dict(smaller.state_dict())
    with torch.no_grad():
        assert torch.equal(twin(_image(smaller.arch)), smaller(_image(smaller.arch)))


def test_it_can_be_trained_on(pair: tuple[nn.Module, nn.Module]) -> None:
    smaller = copy.deepcopy(pair[1]).train()
    assert all(parameter.requires_grad for parameter in smaller.parameters())
    smaller(_image(smaller.arch)).square().mean().backward()
    assert all(p.grad is not None for p in smaller.parameters())


@pytest.mark.parametrize("name", ARCHS)
def test_the_original_is_not_changed(name: str) -> None:
    model = _model(ARCHS[name]).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    smaller = prune(model, target_widths(model, 0.6), SIZE)
    assert model.training
    assert not smaller.training
    assert model.arch == ARCHS[name]
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def _silence(
    model: nn.Module, produce: str, norms: list[str], depthwise: list[str], read: tuple[str, int]
) -> list[int]:
    """Zero every other channel of a layer and all weights that hang on it; returns the silent channels."""
    layers: dict[str, Any] = dict(model.named_modules())
    transposed = isinstance(layers[produce], nn.ConvTranspose2d)
    silent = list(range(0, layers[produce].out_channels, 2))
    reader, offset = read
    with torch.no_grad():
        if transposed:
            layers[produce].weight[:, silent] = 0
        else:
            layers[produce].weight[silent] = 0
        if layers[produce].bias is not None:
            layers[produce].bias[silent] = 0
        for name in norms:
            for tensor in (layers[name].weight, layers[name].bias, layers[name].running_mean):
                tensor[silent] = 0
        for name in depthwise:
            layers[name].weight[silent] = 0
        layers[reader].weight[:, [offset + channel for channel in silent]] = 0
    return silent


CASES = {
    "plain": ("unet-transposed", "down.1.0.0", ["down.1.0.1"], [], ("down.1.1.0", 0)),
    "transposed": ("unet-transposed", "up.0", [], [], ("merge.0.0.0", 32)),  # behind the 32 channels of the skip
    "interpolated": ("unet-bilinear", "up.1", [], [], ("merge.1.0.0", 16)),
    "depthwise": ("efficient_unet", "blocks.1.0.conv_pw", ["blocks.1.0.bn1", "blocks.1.0.bn2"],
                  ["blocks.1.0.conv_dw"], ("blocks.1.0.conv_pwl", 0)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_removing_silent_channels_changes_nothing(case: str) -> None:
    """The pruner cut the right input channels everywhere: behind a concatenation, a transposed or depthwise layer."""
    name, produce, norms, depthwise, read = CASES[case]
    model = _model(ARCHS[name])
    silent = _silence(model, produce, norms, depthwise, read)
    have = _widths(model)[produce]
    smaller = prune(model, {produce: have - len(silent)}, SIZE)
    assert _widths(smaller)[produce] == have - len(silent)
    with torch.no_grad():
        expected, found = model(_image(model.arch)), smaller(_image(model.arch))
    assert torch.allclose(expected, found, atol=1e-4 * float(expected.abs().max()))


def test_layers_at_their_target_stay() -> None:
    model = _model(ARCHS["unet-transposed"])
    smaller = prune(model, _targets_at(model, 1.0), SIZE)
    assert smaller.arch == model.arch
    with torch.no_grad():
        assert torch.equal(model(_image(model.arch)), smaller(_image(model.arch)))


def _targets_at(model: nn.Module, share: float) -> dict[str, int]:
    return {name: int(width * share) for name, width in _widths(model).items() if name != "head"}


@pytest.mark.parametrize("name", ["unet-transposed", "efficient_unet"])
def test_rounds_end_where_one_cut_ends(name: str) -> None:
    model = _model(ARCHS[name])
    step = model
    macs = [cost(model, (1, 1, *SIZE)).macs]
    for kept in (0.8, 0.6, 0.4):
        step = prune(step, target_widths(model, kept), SIZE)
        macs.append(cost(step, (1, 1, *SIZE)).macs)
    once = prune(model, target_widths(model, 0.4), SIZE)
    assert step.arch == once.arch
    assert macs == sorted(macs, reverse=True)
    assert macs[1] < macs[0]


def test_a_size_the_network_cannot_take_is_told() -> None:
    model = _model(ARCHS["unet-transposed"])
    with pytest.raises(EdgesegError, match=r"63x64|traced"):
        prune(model, _targets_at(model, 0.5), (63, 64))


@pytest.mark.parametrize("name", ARCHS)
def test_target_widths(name: str) -> None:
    model = _model(ARCHS[name])
    before = _widths(model)
    wanted = target_widths(model, 0.3)
    depthwise = {name for name in before if name.endswith("conv_dw")}  # they follow what they read
    assert wanted.keys() == before.keys() - {"head"} - depthwise
    for layer, width in wanted.items():
        assert 0 < width <= before[layer]
        assert width % 8 == 0 or width == before[layer]


def test_an_unknown_importance_is_refused() -> None:
    with pytest.raises(ConfigError, match="importance is 'magic'; known are group_l2"):
        prune(_model(ARCHS["efficient_unet"]), {}, SIZE, "magic")
