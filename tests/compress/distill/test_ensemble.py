"""Several networks as one teacher: averaged by hand, mirrored views undone exactly, stored as they are asked live."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from edgeseg.compress.distill.distill import DistillationModule, DistillConfig
from edgeseg.compress.distill.ensemble import NO_FLIP, Ensemble, allowed_flips, folded, mean_answer
from edgeseg.compress.distill.members import load_teacher, save_member
from edgeseg.compress.distill.stored_views import ViewOrder, stored_views
from edgeseg.compress.fingerprint import fingerprint
from edgeseg.runtime.data.dataset import open_dataset
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.spec.input_spec import Geometry
from edgeseg.train.checkpoint import save_checkpoint
from edgeseg.train.config import AugmentConfig, TrainConfig
from edgeseg.train.datamodule import SegmentationData
from edgeseg.train.models import SegmentationNet, build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch
from edgeseg.train.models.unet import unet_arch

ALL = allowed_flips(AugmentConfig())


class Says(SegmentationNet):
    """Answers the same logits to every pixel."""

    stride = output_stride = 1

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.n_outputs, self.logits = len(logits), torch.tensor(logits)

    def forward(self, x: Tensor) -> Tensor:
        return self.logits[None, :, None, None].expand(x.shape[0], -1, *x.shape[-2:])


class Copies(SegmentationNet):
    """Answers with the image itself: what comes back lies where it lay, or not."""

    stride = output_stride = n_outputs = 1

    def forward(self, x: Tensor) -> Tensor:
        return x


def _net(seed: int, outputs: int = 4) -> SegmentationNet:
    torch.manual_seed(seed)
    return build_model(unet_arch(1, outputs, base=4, depth=3)).eval()


def _x(*size: int) -> Tensor:
    return torch.rand((1, 1, *size), generator=torch.Generator().manual_seed(5))


def _sure(probability: float) -> float:
    return math.log(probability / (1 - probability))


def test_probabilities_are_averaged_by_hand() -> None:
    first, second = (0.7, 0.2, 0.1), (0.1, 0.3, 0.6)
    both = Ensemble([Says(*map(math.log, first)), Says(*(math.log(one) + 7 for one in second))])
    found = both(_x(2, 3)).softmax(dim=1)
    assert found.shape == (1, 3, 2, 3)
    torch.testing.assert_close(found[0, :, 1, 2], torch.tensor([0.4, 0.25, 0.35]))
    one = Ensemble([Says(_sure(0.9)), Says(_sure(0.2))])(_x(2, 2))
    torch.testing.assert_close(one.sigmoid(), torch.full((1, 1, 2, 2), 0.55))


def test_each_network_is_calibrated_before_the_average() -> None:
    logit = _sure(0.9)
    cool = Ensemble([Says(2 * logit), Says(_sure(0.2) / 4)], temperatures=(2.0, 0.25))
    torch.testing.assert_close(cool(_x(2, 2)).sigmoid(), torch.full((1, 1, 2, 2), 0.55))


def test_extreme_answers_stay_finite_as_half() -> None:
    stacked = torch.tensor([300.0, -300.0]).reshape(2, 1, 1, 1, 1)
    assert mean_answer(stacked).abs().item() < 1e-3
    for sign in (1.0, -1.0):
        assert torch.isfinite(
            mean_answer(
                torch.full((2, 1, 3, 1, 1), 1.0) * torch.tensor([-sign, 0, sign])[None, None, :, None, None] * 1e4
            ).half()
        ).all()
        assert torch.isfinite(mean_answer(torch.full((2, 1, 1, 1, 1), sign * 1e4)).half()).all()


def test_one_answer_stays_the_networks_own() -> None:
    net, x = _net(0), _x(16, 24)
    assert torch.equal(Ensemble([net])(x), net(x))
    assert torch.equal(Ensemble([net], (2.0,))(x), net(x) / 2.0)


@pytest.mark.parametrize("flip", ALL[1:])
def test_a_mirrored_view_is_mirrored_back(flip: tuple[int, ...]) -> None:
    x = _x(5, 7)
    assert torch.equal(Ensemble([Copies()], flips=(flip,))(x), x)
    net = _net(1)
    expected = net(_x(16, 24).flip(flip)).flip(flip)
    torch.testing.assert_close(Ensemble([net], flips=(flip,))(_x(16, 24)), expected)
    assert not torch.allclose(expected, net(_x(16, 24)), atol=1e-3)


def test_views_and_networks_all_count_alike() -> None:
    nets, x = [_net(0), _net(1)], _x(16, 24)
    answers = [net(x.flip(flip)).flip(flip).softmax(dim=1) for net in nets for flip in ALL]
    found = Ensemble(nets, flips=ALL)(x).softmax(dim=1)
    torch.testing.assert_close(found, torch.stack(answers).mean(dim=0))


def test_only_what_training_shows_is_mirrored() -> None:
    """Ultrasound is never turned upside down."""
    assert allowed_flips(AugmentConfig(flip_vertical=False)) == (NO_FLIP, (3,))
    assert allowed_flips(AugmentConfig(flip_horizontal=False)) == (NO_FLIP, (2,))
    assert ALL == (NO_FLIP, (3,), (2,), (3, 2))
    assert allowed_flips(AugmentConfig(flip_horizontal=False, flip_vertical=False)) == (NO_FLIP,)


def test_folded_is_the_same_teacher() -> None:
    teacher, x = Ensemble([_net(0), _net(1)], (1.5, 2.0), ALL), _x(32, 32)
    frozen = folded(teacher)
    torch.testing.assert_close(frozen(x), teacher(x), atol=1e-4, rtol=1e-4)
    assert not any(isinstance(one, torch.nn.BatchNorm2d) for one in frozen.modules())
    assert any(isinstance(one, torch.nn.BatchNorm2d) for one in teacher.modules())
    assert not any(parameter.requires_grad for parameter in frozen.parameters())


def test_all_that_its_answer_depends_on_is_in_the_fingerprint() -> None:
    nets = [_net(0), _net(1)]
    prints = {
        fingerprint(one)
        for one in (
            Ensemble(nets),
            Ensemble(nets[:1]),
            Ensemble(nets[::-1]),
            Ensemble(nets, (1.0, 1.5)),
            Ensemble(nets, flips=ALL),
            Ensemble(nets, flips=ALL[:2]),
        )
    }
    assert len(prints) == 6


def test_networks_of_different_tasks_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"outputs.*\(3, 1\), \(4, 1\)"):
        Ensemble([_net(0), _net(1, outputs=3)])


def test_a_teachers_networks_come_back_in_order(tmp_path: Path) -> None:
    nets = [_net(seed) for seed in range(12)]
    save_checkpoint(tmp_path, nets[0], {})
    alone = load_teacher(tmp_path)
    assert not isinstance(alone, Ensemble) and fingerprint(alone) == fingerprint(nets[0])
    for index, net in enumerate(nets[1:], 1):
        save_member(tmp_path, index, net, {})
    assert fingerprint(load_teacher(tmp_path)) == fingerprint(Ensemble(nets))


@pytest.mark.parametrize("outputs", [1, 4])
def test_stored_answers_are_the_live_ones_bit_for_bit(tmp_path: Path, synthetic_dir: Path, outputs: int) -> None:
    config = TrainConfig(epochs=2, batch_size=4, workers=0, threads=1, augment=AugmentConfig(p_elastic=0, p_grid=0))
    loaders = SegmentationData(
        open_dataset(synthetic_dir), Geometry("resize", height_px=64, width_px=64), 32, config, 0.5
    )
    teacher = Ensemble([_net(0, outputs), _net(1, outputs)], (1.3, 0.8), ALL)
    views = stored_views(tmp_path, loaders, teacher, ViewOrder(1, "float32"))
    student = build_model(efficient_unet_arch(1, outputs, width=0.25, depth=0.34, stages=5))
    live = DistillationModule(student, teacher, config, DistillConfig(), n_classes=4, total_steps=1)
    for place in (0, 3):
        x = (views[0, place]["image"][None].float() / 255.0).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            assert torch.equal(views[0, place]["answer"], live._teacher[0](x)[0].half())
