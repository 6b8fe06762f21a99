"""A narrow encoder from a wide one's weights: the important channels, in every layer that reads or makes them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from edgeseg.compress.search.narrow import narrowed, started_arch
from edgeseg.runtime.errors import TrainingError
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch
from edgeseg.train.pretrained.weights import Weights, take_weights


def _weights(channels: int = 3, **size: Any) -> Weights:
    torch.manual_seed(0)
    state = build_model(efficient_unet_arch(channels, 2, **size)).state_dict()
    encoder = {
        name: tensor for name, tensor in state.items() if not name.startswith(("decoder", "head")) and tensor.ndim
    }
    return Weights(encoder, 1e-3)


def _started(weights: Weights, channels: int = 1, **size: Any) -> tuple[Any, int, int]:
    """The network, tensors taken, and tensors of its encoder."""
    arch = started_arch(efficient_unet_arch(channels, 2, **size), weights)
    model = build_model(arch)
    taken = take_weights(model, narrowed(weights, arch))
    own = [n for n, tensor in model.state_dict().items() if not n.startswith(("decoder", "head")) and tensor.ndim]
    return model, taken, len(own)


@pytest.mark.parametrize("width", [0.75, 0.5, 0.25])
def test_every_tensor_of_a_narrower_encoder_is_filled(width: float) -> None:
    model, taken, own = _started(_weights(depth=0.5), width=width, depth=0.5)
    assert taken == own
    assert model.arch["bn_eps"] == 1e-3
    with torch.no_grad():
        assert model.eval()(torch.rand(1, 1, 64, 64)).isfinite().all()


def test_the_channels_that_do_something_are_kept() -> None:
    """A wide network whose first channels are silent everywhere becomes the narrow network of its last ones."""
    narrow_arch = efficient_unet_arch(3, 2, width=0.5, stages=3)
    torch.manual_seed(1)
    narrow = build_model(narrow_arch).state_dict()
    wide = build_model(efficient_unet_arch(3, 2, stages=3)).state_dict()
    tensors = {}
    for name, small in narrow.items():
        if small.ndim and not name.startswith(("decoder", "head")):
            tensors[name] = torch.zeros_like(wide[name])
            tensors[name][tuple(slice(-size, None) for size in small.shape)] = small
    weights = Weights(tensors, 1e-5)
    cut = narrowed(weights, started_arch(narrow_arch, weights)).tensors
    assert cut.keys() == tensors.keys()
    assert all(torch.equal(cut[name], narrow[name]) for name in cut)


def test_missing_repeats_are_left_out_and_further_ones_stay_fresh() -> None:
    weights = _weights(depth=1.0)
    model, taken, own = _started(weights, width=1.0, depth=0.5)
    assert taken == own
    assert torch.equal(model.state_dict()["blocks.3.1.conv_dw.weight"], weights.tensors["blocks.3.1.conv_dw.weight"])
    for width in (1.0, 0.5):
        torch.manual_seed(3)
        model, taken, own = _started(weights, width=width, depth=1.2)
        fresh = [name for name in model.state_dict() if name not in weights.tensors and name.startswith("blocks")]
        assert taken == own - len([name for name in fresh if model.state_dict()[name].ndim])
        assert any(name.startswith("blocks.1.2.") for name in fresh)


def test_a_block_that_adds_nothing_in_the_weights_adds_nothing_when_it_is_narrow() -> None:
    arch = efficient_unet_arch(1, 2, width=0.25)
    assert arch["blocks"][0][0]["skip"], "stem and first stage are both 8 wide"
    started = started_arch(arch, _weights())
    assert not started["blocks"][0][0]["skip"]
    assert started["blocks"][1][1]["skip"]
    assert arch["blocks"][0][0]["skip"]


def test_weights_of_the_width_asked_for_are_left_as_they_are() -> None:
    weights = _weights(width=0.25)
    assert narrowed(weights, started_arch(efficient_unet_arch(3, 2, width=0.25), weights)) is weights


def test_narrower_weights_are_refused() -> None:
    with pytest.raises(TrainingError, match="fits this network"):
        _started(_weights(width=0.25), width=0.5)
