"""Equalization: the function stays, only what may be scaled is, and 8 bit gain by it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgeseg.compress.graph.pairs import Pair, find_pairs
from edgeseg.compress.int8.equalize import HEADROOM, equalize
from edgeseg.compress.int8.statistics import collect_statistics

from ..lived_in import ARCHS, folded_network, images, scores


def equalized(name: str):
    model = folded_network(name)
    channels = ARCHS[name]["in_channels"]
    return model, equalize(model, collect_statistics(model, images(channels)))


@pytest.mark.parametrize("name", ARCHS)
def test_the_function_stays_on_images_of_real_size(name):
    model, channels = folded_network(name), ARCHS[name]["in_channels"]
    found = equalize(model, collect_statistics(model, images(channels, size=256), histograms=False))
    others = images(channels, n=2, size=256, seed=4)
    expected, result = scores(model, others), scores(found.model, others)
    assert found.n_scaled > 0
    assert float((expected - result).abs().max()) < 1e-4 * float(expected.abs().max())


def test_the_original_is_untouched_and_the_paths_stay():
    model, found = equalized("student")
    assert [name for name, _ in model.named_modules()] == [name for name, _ in found.model.named_modules()]
    fresh = folded_network("student").state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in model.state_dict().items())


def test_pairs_run_through_depthwise_and_stop_at_skips_and_concatenations():
    pairs, left_out = find_pairs(folded_network("student"))
    block = "blocks.1.0"
    assert Pair(f"{block}.conv_pw", f"{block}.conv_dw", f"{block}.act1", 6.0) in pairs
    assert Pair(f"{block}.conv_dw", f"{block}.conv_pwl", f"{block}.act2", 6.0) in pairs
    assert "read" in left_out[f"{block}.conv_pwl"]
    assert "cat" in left_out["decoder.0.reduce"]
    assert left_out["head"] == "it is the output"
    assert not {pair.first for pair in pairs} & set(left_out)


def test_a_relu_pair_has_no_limit_and_pooling_is_passed():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.ConvTranspose2d(2, 1, 2, 2)).eval()
    assert find_pairs(model)[0] == [Pair("0", "3", "2", None)]


class Two(nn.Module):
    """A convolution, ReLU6 and a second convolution, dense or depthwise."""

    def __init__(self, high: list[float], depthwise: bool = False) -> None:
        super().__init__()
        n = len(high)
        self.first = nn.Conv2d(1, n, 1)
        self.act = nn.ReLU6()
        self.second = nn.Conv2d(n, n if depthwise else 2, 1, groups=n if depthwise else 1)
        with torch.no_grad():
            self.first.weight.copy_(torch.tensor(high).view(-1, 1, 1, 1))
            self.first.bias.zero_()
            self.second.weight.fill_(1.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.act(self.first(x)))


def gradient() -> list[np.ndarray]:
    return list(np.tile(np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16, 1), (8, 1, 1, 1, 1)))


@pytest.mark.parametrize("depthwise", [False, True])
def test_a_channel_near_the_limit_of_relu6_is_left_alone(depthwise):
    near, clipped, small = 6 / HEADROOM * 1.01, 9.0, 0.5
    model = Two([near, clipped, small], depthwise).eval()
    found = equalize(model, collect_statistics(model, gradient()))
    before, after = (m.first.weight.detach().flatten() for m in (model, found.model))
    assert after[:2].tolist() == before[:2].tolist()
    assert after[2] > 1.5 * before[2]
    assert after[2] * HEADROOM <= 6.0 + 1e-4
    assert found.scaled == {"first -> second": (1, 3)}


def test_a_depthwise_reader_lets_all_channels_fill_the_range():
    model = Two([0.5, 1.0, 2.0], depthwise=True).eval()
    found = equalize(model, collect_statistics(model, gradient()))
    highs = collect_statistics(found.model, gradient()).of("act").channel_high
    np.testing.assert_allclose(highs, 2.0, rtol=1e-4)


def test_a_dense_reader_shares_the_precision_between_activation_and_kernel():
    model = Two([0.02, 2.0]).eval()
    found = equalize(model, collect_statistics(model, gradient()))
    highs = collect_statistics(found.model, gradient()).of("act").channel_high
    kernel = found.model.second.weight.detach().abs().amax(dim=(0, 2, 3)).numpy()
    np.testing.assert_allclose(highs / highs.max(), kernel / kernel.max(), rtol=0.05)


def test_a_dead_channel_stays():
    model = Two([0.0, 2.0]).eval()
    found = equalize(model, collect_statistics(model, gradient()))
    assert found.model.second.weight.detach()[0, 0].item() == 1.0


def test_a_module_called_twice_is_left_alone():
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(self.conv(x))

    assert not find_pairs(Shared())[0]


def test_coarse_channels_gain():
    """The error of an 8-bit activation, summed over channels as the reader weighs them, falls."""
    rng = np.random.default_rng(0)
    model = Two(list(10 ** rng.uniform(-2, 0.5, 32))).eval()
    found = equalize(model, collect_statistics(model, gradient()))

    def error(network: Two) -> float:
        x = torch.linspace(0, 1, 1000).view(1, 1, 1, -1)
        with torch.no_grad():
            act = network.act(network.first(x))
            step = float(act.max()) / 255
            difference = network.second(torch.round(act / step) * step) - network.second(act)
        return float(difference.square().mean())

    assert error(found.model) < 0.5 * error(model)
