"""Folding batch norm: the same function, the same module paths, the original untouched."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from edgeseg.compress.int8.fold import fold_batch_norm
from edgeseg.runtime.errors import ExportError
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch
from edgeseg.train.models.unet import unet_arch


class TransposedNorm(nn.Module):
    """A transposed convolution with a batch norm of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(4, 6, 2, 2)
        self.bn = nn.BatchNorm2d(6)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.up(x))


def shaken(model: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                tensor.data.uniform_(0.5, 1.5)
            for tensor in (module.bias, module.running_mean):
                tensor.data.normal_()
    return model.eval()


@pytest.mark.parametrize(
    ("model", "channels"),
    [
        (build_model(efficient_unet_arch(1, 3, width=0.25, stages=3)), 1),
        (build_model(efficient_unet_arch(1, 3, width=0.25, stages=3) | {"bn_eps": 0.1}), 1),
        (build_model(unet_arch(3, 2, base=4, depth=3)), 3),
        (build_model(unet_arch(1, 2, base=4, depth=3, upsampling="bilinear")), 1),
        (TransposedNorm(), 4),
    ],
)
def test_the_function_stays_and_batch_norm_goes(model, channels):
    model = shaken(model)
    folded = fold_batch_norm(model)
    x = torch.rand(2, channels, 16, 24)
    with torch.no_grad():
        expected = model(x)
        torch.testing.assert_close(folded(x), expected, atol=1e-4 * float(expected.abs().max()), rtol=0)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert [name for name, _ in folded.named_modules()] == [name for name, _ in model.named_modules()]


def test_a_batch_norm_without_its_convolution_is_refused():
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 1)
            self.bn = nn.BatchNorm2d(2)

        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x)
            return self.bn(y) + y

    with pytest.raises(ExportError, match=r"batch norm bn follows conv .* used 2 times"):
        fold_batch_norm(Shared())
    with pytest.raises(ExportError, match="batch norm 0 follows"):
        fold_batch_norm(nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 1, 1)))


def test_a_batch_norm_without_statistics_is_refused():
    with pytest.raises(ExportError, match="no running statistics"):
        fold_batch_norm(nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2, track_running_stats=False)))


def test_an_untraceable_module_is_named_with_its_line():
    class Gate(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate = Gate()

        def forward(self, x: Tensor) -> Tensor:
            return self.gate(x)

    with pytest.raises(ExportError, match=r"cannot trace gate \(Gate\): `return x if x.sum\(\) > 0 else -x`"):
        fold_batch_norm(Net())
