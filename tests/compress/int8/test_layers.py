"""Layers of a network: each convolution with its activation, and what moves values around."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgeseg.compress.int8.fold import fold_batch_norm
from edgeseg.compress.int8.layers import int8_layers, kernel_of
from edgeseg.train.models.efficient_unet import EfficientUNet, efficient_unet_arch
from edgeseg.train.models.unet import UNet, unet_arch


def test_a_student_is_covered_by_its_layers() -> None:
    net = fold_batch_norm(EfficientUNet(efficient_unet_arch(1, 3, width=0.25, depth=0.5, stages=3)))
    layers = {layer.name: layer for layer in int8_layers(net)}
    stem = layers["conv_stem"]
    assert stem.keys == ("conv_stem", "act1") and stem.reads == ("image",) and stem.makes == "act1"
    assert layers["blocks.0.0.conv_dw"].kind == "depthwise" and layers["head"].kind == "conv"
    assert {layer.kind for layer in layers.values()} == {"conv", "depthwise", "add", "concat", "resize"}
    convs = [name for name, module in net.named_modules() if isinstance(module, nn.Conv2d)]
    assert set(convs) <= set(layers)
    cat = next(layer for layer in layers.values() if layer.kind == "concat")
    assert len(cat.reads) == 2


def test_a_teacher_too() -> None:
    net = fold_batch_norm(UNet(unet_arch(1, 2, base=4, depth=3)))
    kinds = [layer.kind for layer in int8_layers(net)]
    assert kinds.count("pool") == 1 and kinds.count("concat") == 2 and kinds.count("transposed") == 2
    transposed = next(layer for layer in int8_layers(net) if layer.kind == "transposed")
    weight, bias = kernel_of(net, transposed)
    module = net.get_submodule(transposed.name)
    assert weight is not None and weight.shape == (module.out_channels, module.in_channels, 4)
    assert bias is not None and len(bias) == module.out_channels


class _Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)
        self.act = nn.ReLU()
        self.other = nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.conv(x)
        second = self.act(self.conv(self.act(first)))
        return self.other(first) + second


def test_a_module_called_twice_is_one_layer() -> None:
    layers = {layer.name: layer for layer in int8_layers(_Twice())}
    assert set(layers) == {"conv", "other", "add"}
    # The first call is read twice, so its activation is not part of it; the second call's is.
    assert layers["conv"].keys == ("conv", "conv#1", "act#1")
    assert kernel_of(_Twice(), layers["add"]) == (None, None)
    assert torch.is_tensor(_Twice()(torch.zeros(1, 4, 2, 2)))
