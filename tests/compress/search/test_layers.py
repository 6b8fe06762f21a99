"""Layers of real networks against what their architecture says."""

from __future__ import annotations

import time

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgeseg.compress.cost import cost
from edgeseg.compress.search.layers import layers_of
from edgeseg.compress.search.probe import Layer
from edgeseg.runtime.errors import ExportError, FrameError
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch
from edgeseg.train.models.unet import unet_arch

ARCHS = {
    "student": efficient_unet_arch(1, 3, width=0.5),
    "student_rgb": efficient_unet_arch(3, 2, width=0.25, stages=3),
    "unet_transposed": unet_arch(1, 3, base=4, depth=3),
    "unet_bilinear": unet_arch(1, 3, base=4, depth=3, upsampling="bilinear"),
}


def macs_of(layer: Layer) -> int:
    area = layer.height_px * layer.width_px
    if layer.kind == "transposed":
        return area * layer.in_channels * layer.out_channels * layer.kernel**2
    if layer.kind not in ("conv", "depthwise"):
        return 0
    read = layer.in_channels if layer.kind == "conv" else 1
    return area // layer.stride**2 * read * layer.out_channels * layer.kernel**2


@pytest.mark.parametrize("name", ARCHS)
def test_the_layers_have_all_the_network_s_macs(name: str) -> None:
    model = build_model(ARCHS[name])
    layers = layers_of(model, (64, 96))
    assert sum(map(macs_of, layers)) == cost(model, (1, ARCHS[name]["in_channels"], 64, 96)).macs


def test_a_small_student_layer_by_layer() -> None:
    model = build_model(efficient_unet_arch(1, 3, width=0.25, stages=2))
    assert [layer.key for layer in layers_of(model, (32, 32))] == [
        "conv 3x3/2 1->8 @32x32",
        "depthwise 3x3/1 8->8 @16x16",
        "conv 1x1/1 8->8 @16x16",
        "add 1x1/1 8->8 @16x16",
        "conv 1x1/1 8->48 @16x16",
        "depthwise 3x3/2 48->48 @16x16",
        "conv 1x1/1 48->8 @8x8",
        "conv 1x1/1 8->48 @8x8",
        "depthwise 3x3/1 48->48 @8x8",
        "conv 1x1/1 48->8 @8x8",
        "add 1x1/1 8->8 @8x8",
        "conv 1x1/1 8->8 @8x8",
        "resize 1x1/2 8->8 @8x8",
        "concat 1x1/1 16->16 @16x16",
        "depthwise 3x3/1 16->16 @16x16",
        "conv 1x1/1 16->8 @16x16",
        "conv 1x1/1 8->3 @16x16",
    ]


def test_a_teacher_has_pools_and_transposed_convolutions() -> None:
    layers = layers_of(build_model(unet_arch(1, 3, base=4, depth=2)), (32, 32))
    assert [layer.key for layer in layers] == [
        "conv 3x3/1 1->4 @32x32",
        "conv 3x3/1 4->4 @32x32",
        "pool 2x2/2 4->4 @32x32",
        "conv 3x3/1 4->8 @16x16",
        "conv 3x3/1 8->8 @16x16",
        "transposed 2x2/2 8->4 @16x16",
        "concat 1x1/1 8->8 @32x32",
        "conv 3x3/1 8->4 @32x32",
        "conv 3x3/1 4->4 @32x32",
        "conv 1x1/1 4->3 @32x32",
    ]


def test_a_depthwise_convolution_is_widened_with_its_neighbours() -> None:
    """The first block's has a skip around it, so it cannot be; the decoder's grows by its resized part."""
    arch = efficient_unet_arch(1, 3, width=0.25, stages=2)
    arch["blocks"][1][0]["mid"] = 40
    arch["decoder"] = [{"reduce": 16, "out": 8}]
    keys = [layer.key for layer in layers_of(build_model(arch), (32, 32), 16)]
    assert keys[1] == "depthwise 3x3/1 8->8 @16x16"
    assert keys[4:7] == ["conv 1x1/1 8->48 @16x16", "depthwise 3x3/2 48->48 @16x16", "conv 1x1/1 48->8 @8x8"]
    assert keys[11:16] == [
        "conv 1x1/1 8->24 @8x8",
        "resize 1x1/2 24->24 @8x8",
        "concat 1x1/1 32->32 @16x16",
        "depthwise 3x3/1 32->32 @16x16",
        "conv 1x1/1 32->8 @16x16",
    ]


def test_the_model_stays_as_it_was_and_may_be_on_the_meta_device() -> None:
    model = build_model(ARCHS["student_rgb"]).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    layers = layers_of(model, (32, 32))
    assert model.training and all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    with torch.device("meta"):
        hollow = build_model(ARCHS["student_rgb"])
    assert layers_of(hollow, (32, 32)) == layers


def test_no_activation_is_computed() -> None:
    """At a size whose activations would fill 100 GB."""
    began = time.monotonic()
    assert layers_of(build_model(ARCHS["unet_transposed"]), (1 << 15, 1 << 15))
    assert time.monotonic() - began < 30


def test_a_size_the_network_cannot_take() -> None:
    with pytest.raises(FrameError, match="multiples of 4"):
        layers_of(build_model(ARCHS["unet_transposed"]), (30, 32))


class Net(nn.Module):
    stride = 1

    def __init__(self, conv: nn.Module | None = None, function=None) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 1)
        self.second = conv or nn.Identity()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.second(self.first(x))
        return self.function(y) if self.function else y


@pytest.mark.parametrize(
    ("net", "match"),
    [
        (Net(function=torch.sin), r"operation sin \(sin\)"),
        (Net(nn.AvgPool2d(2)), r"operation second \(AvgPool2d\)"),
        (Net(nn.Conv2d(4, 4, 3, groups=2)), "second has 2 groups for 4 -> 4"),
        (Net(nn.Conv2d(4, 4, (1, 3))), r"second has kernel \(1, 3\)"),
        (Net(nn.Conv2d(4, 4, 3, dilation=2)), r"dilation \(2, 2\)"),
        (Net(function=lambda y: y if y.sum() > 0 else -y), "cannot trace Net"),
    ],
)
def test_what_has_no_place_in_the_table_is_named(net: nn.Module, match: str) -> None:
    with pytest.raises(ExportError, match=match):
        layers_of(net, (8, 8))


def test_functional_forms_count_as_well() -> None:
    net = Net(function=lambda y: F.max_pool2d(F.relu(torch.add(y, F.interpolate(y, scale_factor=1))), 2))
    kinds = [layer.kind for layer in layers_of(net, (8, 8))]
    assert kinds == ["conv", "resize", "add", "pool"]
