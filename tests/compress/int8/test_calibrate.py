"""Ranges: what is noted, how images are joined, what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from edgeseg.compress.calibration.set import MIN_IMAGES
from edgeseg.compress.int8.calibrate import METHODS, Ranges, collect_ranges, derive_ranges
from edgeseg.compress.int8.fold import fold_batch_norm
from edgeseg.compress.int8.statistics import collect_statistics
from edgeseg.runtime.errors import ConfigError, ExportError
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch


class Twice(nn.Module):
    """Calls one module twice and adds."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1, bias=False)
        self.act = nn.ReLU6()
        nn.init.constant_(self.conv.weight, 2.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.conv(self.conv(x)) + x)


def flat(*levels: int, size: int = 8) -> list[np.ndarray]:
    return [np.full((1, size, size, 1), level, np.uint8) for level in levels]


def test_every_operation_has_its_name_and_range():
    ranges = collect_ranges(Twice().eval(), flat(0, 51, 102, 153, 204, 255, 10, 20))
    expected = {"image": (0, 255), "conv": (0, 2), "conv#1": (0, 4), "add": (0, 5), "act": (0, 5)}
    assert set(ranges.values) == set(expected)
    for key, pair in expected.items():
        assert ranges.values[key] == pytest.approx(pair)
    assert ranges.n_images == 8


def test_batches_and_single_images_give_equal_ranges():
    model = fold_batch_norm(build_model(efficient_unet_arch(1, 3, width=0.25, stages=3)))
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 1), dtype=np.uint8)
    for method in METHODS:
        assert collect_ranges(model, [images], method) == collect_ranges(model, list(images[:, None]), method)


def test_images_of_several_sizes_are_taken():
    images = flat(1, 2, 3, 4, 5) + flat(200, 210, 255, size=16)
    assert collect_ranges(Twice().eval(), images).values["conv"] == pytest.approx((2 / 255, 2.0))


def test_an_outlier_sets_minmax_but_hardly_the_others():
    images = [np.full((1, 200, 200, 1), 100, np.uint8) for _ in range(20)]
    images[-1][0, 0, 0, 0] = 255  # one pixel in 800,000
    tops = {method: collect_ranges(Twice().eval(), images, method).values["conv"][1] for method in METHODS}
    assert tops["minmax"] == pytest.approx(2.0)
    assert tops["percentile"] == pytest.approx(200 / 255, rel=0.01)
    assert tops["percentile"] < tops["moving_average"] < tops["minmax"]


def test_one_pass_serves_all_methods():
    model = Twice().eval()
    calls = []
    model.conv.register_forward_hook(lambda *_: calls.append(1))
    images = [np.random.default_rng(seed).integers(0, 256, (1, 16, 16, 1), dtype=np.uint8) for seed in range(8)]
    found = collect_statistics(model, images)
    seen = len(calls)
    derived = {method: derive_ranges(found, method) for method in METHODS}
    assert len(calls) == seen
    for method, ranges in derived.items():
        assert ranges == collect_ranges(model, images, method)
        assert ranges.values["image"] == (0.0, 255.0)


def test_an_operation_is_looked_at_once_an_image():
    """A folded batch norm passes on what its convolution made, under the convolution's name."""
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Identity(), nn.ReLU6(), nn.Dropout()).eval()
    found = collect_statistics(model, flat(*range(8)))
    assert {key: len(seen.extremes) for key, seen in found.activations.items()} == {"image": 8, "0": 8, "2": 8}
    assert found.of("2").channel_high.shape == (2,)


def test_a_dead_operation_has_the_range_of_zeros():
    model = Twice().eval()
    nn.init.zeros_(model.conv.weight)
    for method in METHODS:
        values = collect_ranges(model, flat(*range(8)), method).values
        assert values["conv"] == (0.0, 0.0)


@pytest.mark.parametrize("n", [0, 1, MIN_IMAGES - 1])
def test_too_few_images_are_refused(n):
    with pytest.raises(ConfigError, match=f"ranges come from {n} images; calibrate on at least 8"):
        collect_ranges(Twice().eval(), flat(*range(n)))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_refused_by_name(method, value):
    model = Twice().eval()
    with torch.no_grad():
        model.conv.weight.fill_(value)
    with pytest.raises(ExportError, match=r"the range of conv"):
        collect_ranges(model, flat(*range(8)), method)


def test_a_nan_in_one_image_is_not_lost_in_the_others():
    class NanAbove(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.sqrt(0.5 - x)

    with pytest.raises(ExportError, match="not finite"):
        collect_ranges(NanAbove(), flat(1, 2, 255, 3, 4, 5, 6, 7))


def test_wrong_images_and_methods_are_refused():
    with pytest.raises(ConfigError, match=r"float32 \(1, 8, 8, 1\)"):
        collect_ranges(Twice().eval(), [np.zeros((1, 8, 8, 1), np.float32)])
    with pytest.raises(ConfigError, match=r"uint8 \(8, 8, 1\)"):
        collect_ranges(Twice().eval(), [np.zeros((8, 8, 1), np.uint8)])
    with pytest.raises(ConfigError, match="'guess' is unknown; known are minmax"):
        collect_ranges(Twice().eval(), flat(*range(8)), "guess")


numbers = st.floats(-1e6, 1e6, width=32)
pairs = st.tuples(numbers, numbers).map(lambda pair: (min(pair), max(pair)))


@given(st.dictionaries(st.text(min_size=1, max_size=20), pairs, max_size=8), st.integers(8, 999))
def test_ranges_survive_json(values, n):
    ranges = Ranges(values, "minmax", n)
    assert Ranges.from_json(json.loads(json.dumps(ranges.to_json()))) == ranges


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"method": "minmax", "n_images": 8}, "values are needed"),
        ({"method": "minmax", "n_images": 8, "values": {"a": [1]}}, "no pair of numbers"),
        ({"method": "minmax", "n_images": 8, "values": []}, "no pair of numbers"),
    ],
)
def test_damaged_json_is_refused(value, message):
    with pytest.raises(ConfigError, match=message):
        Ranges.from_json(value)


def test_a_reversed_range_is_refused():
    with pytest.raises(ExportError, match=r"\[2.0, 1.0\]"):
        Ranges({"a": (2.0, 1.0)}, "minmax", 8)
