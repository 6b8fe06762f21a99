"""Feature hints: by hand, with an adapter that is trained, resumed and thrown away."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from edgeseg.compress.distill.distill import DistillationModule, DistillConfig
from edgeseg.compress.distill.ensemble import Ensemble
from edgeseg.compress.distill.hints import Hints
from edgeseg.runtime.data.dataset import open_dataset
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.spec.input_spec import Geometry
from edgeseg.train.config import AugmentConfig, TrainConfig
from edgeseg.train.datamodule import SegmentationData
from edgeseg.train.fit import fit
from edgeseg.train.models import SegmentationNet, build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch
from edgeseg.train.models.unet import unet_arch


class Headed(SegmentationNet):
    """A network of which only the last layer matters."""

    stride = output_stride = n_outputs = 1

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.head = nn.Conv2d(channels, 1, 1)


def _hints(weight: float, bias: float = 0.0) -> Hints:
    made = Hints(Headed(2), Headed(3), 0)
    with torch.no_grad():
        made.adapter.weight.fill_(weight)
        made.adapter.bias.fill_(bias)  # type: ignore[union-attr]
    return made


def _of(hints: Hints, x: torch.Tensor, counted: torch.Tensor | None = None) -> float:
    """The student sees x in two channels, the teacher 4 x in three."""
    with hints.watching():
        hints._heads[0](x.expand(-1, 2, -1, -1))
        hints._heads[1](4.0 * x.expand(-1, 3, -1, -1))
    return hints.loss(counted).item()


def test_by_hand() -> None:
    """Student features x and x, through weights w: 2 w x against 4 x."""
    x = torch.tensor([1.0, -1.0, 2.0, 0.5]).reshape(1, 1, 2, 2)
    assert _of(_hints(2.0), x) == pytest.approx(0.0, abs=1e-12)
    assert _of(_hints(0.0), x) == pytest.approx(1.0)
    assert _of(_hints(1.0), x) == pytest.approx(((2 - 4) / 4) ** 2)


def test_pixels_that_do_not_count_give_no_hint() -> None:
    x = torch.tensor([1.0, 3.0]).reshape(1, 1, 1, 2)
    counted = torch.tensor([[[True, False]]])
    first, both = _of(_hints(0.0, 1.0), x, counted), _of(_hints(0.0, 1.0), x)
    assert first == pytest.approx((1 - 4) ** 2 / 16)
    assert both == pytest.approx(((1 - 4) ** 2 + (1 - 12) ** 2) / (16 + 144))
    assert _of(_hints(1.0), x, torch.zeros(1, 1, 2, dtype=torch.bool)) == 0.0


def test_the_teachers_features_are_brought_to_the_students_size() -> None:
    hints = _hints(2.0)
    with hints.watching():
        hints._heads[0](torch.full((1, 2, 2, 2), 0.5))
        hints._heads[1](torch.tensor([1.0, 3.0]).repeat(2).expand(1, 3, 4, 4))
    assert hints.loss().item() == pytest.approx(0.0)  # the mean of 1 and 3 is 2 * 2 * 0.5


def _net(seed: int) -> SegmentationNet:
    torch.manual_seed(seed)
    return build_model(unet_arch(1, 4, base=4, depth=3)).eval()


def _student() -> SegmentationNet:
    torch.manual_seed(9)
    return build_model(efficient_unet_arch(1, 4, width=0.25, depth=0.34, stages=4))


def _module(config: TrainConfig, steps: int = 8, weight: float = 1.0) -> DistillationModule:
    distill = DistillConfig(alpha=0.0, hint_weight=weight)
    return DistillationModule(_student(), _net(0), config, distill, n_classes=4, total_steps=steps)


def test_the_term_is_added_and_reaches_student_and_adapter_alone() -> None:
    generator = torch.Generator().manual_seed(3)
    x, target = torch.rand((2, 1, 32, 32), generator=generator), torch.randint(0, 4, (2, 32, 32), generator=generator)
    losses = [_module(TrainConfig(), weight=one).eval().compute_loss(x, target).item() for one in (0.0, 1.0, 3.0)]
    assert losses[2] - losses[0] == pytest.approx(3 * (losses[1] - losses[0]), rel=1e-4)
    assert losses[1] - losses[0] > 0.1
    module = _module(TrainConfig())
    module.compute_loss(x, target).backward()
    assert module.hints is not None and module.hints.adapter.weight.grad is not None
    assert all(one.grad is None for one in module._teacher[0].parameters())
    trained = {id(one) for group in module.configure_optimizers()["optimizer"].param_groups for one in group["params"]}
    assert trained == {id(one) for one in (*module.model.parameters(), *module.hints.adapter.parameters())}
    assert not module.model.head._forward_pre_hooks  # type: ignore[union-attr]


def test_several_networks_give_no_hints() -> None:
    for teacher in (Ensemble([_net(0), _net(1)]), Ensemble([_net(0)], flips=((), (3,)))):
        with pytest.raises(ConfigError, match=r"teacher\.seeds to 1 and distill\.flips to false"):
            Hints(_student(), teacher, 0)
    assert Hints(_student(), Ensemble([_net(0)], (2.0,)), 0).adapter.out_channels == 4


def test_a_resumed_training_ends_with_the_same_bits(tmp_path: Path, synthetic_dir: Path) -> None:
    config = TrainConfig(
        epochs=2, batch_size=8, validate_every=1, workers=0, threads=1, augment=AugmentConfig(p_elastic=0, p_grid=0)
    )

    def run(folder: str, progress=None) -> dict[str, torch.Tensor]:
        loaders = SegmentationData(
            open_dataset(synthetic_dir), Geometry("resize", height_px=32, width_px=32), 16, config, 0.5
        )
        module = _module(config, 2 * loaders.steps_per_epoch())
        fit(module, loaders, tmp_path / folder, progress)
        return module.model.state_dict()

    def killed(epoch: int, *_: object) -> None:
        if epoch == 2:
            raise MemoryError("stands for a kill")

    whole = run("whole")
    with pytest.raises(MemoryError):
        run("killed", killed)
    torch.rand(3)  # whatever else has drawn numbers
    again = run("killed")
    assert all(torch.equal(whole[name], tensor) for name, tensor in again.items())
