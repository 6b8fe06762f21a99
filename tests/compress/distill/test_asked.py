"""What is asked as the teacher: found out on val once, kept, and nothing at all where there is nothing to find out."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from edgeseg.compress.distill import asked as module
from edgeseg.compress.distill.asked import Asking, ask, dice_on_val
from edgeseg.compress.distill.ensemble import Ensemble, members_of
from edgeseg.compress.fingerprint import fingerprint
from edgeseg.runtime.data.dataset import open_dataset
from edgeseg.runtime.spec.input_spec import Geometry
from edgeseg.train.config import AugmentConfig, TrainConfig
from edgeseg.train.datamodule import SegmentationData
from edgeseg.train.models import SegmentationNet, build_model
from edgeseg.train.models.unet import unet_arch


@pytest.fixture
def loaders(synthetic_dir: Path) -> SegmentationData:
    config = TrainConfig(batch_size=4, workers=0, threads=1, augment=AugmentConfig(flip_vertical=False))
    made = SegmentationData(open_dataset(synthetic_dir), Geometry("resize", height_px=64, width_px=64), 32, config, 0.5)
    made.setup()
    return made


def _net(seed: int) -> SegmentationNet:
    torch.manual_seed(seed)
    return build_model(unet_arch(1, 4, base=4, depth=3)).eval()


def test_one_plain_network_is_asked_as_it_is(tmp_path: Path, loaders: SegmentationData) -> None:
    net = _net(0)
    assert ask(tmp_path, loaders, net, Asking()) == (net, None)
    assert not list(tmp_path.iterdir())


def _too_sure(loaders: SegmentationData, factor: float) -> SegmentationNet:
    """Says the shares of the classes on val, its logits `factor` times as large as is right."""
    net = _net(0)
    masks = torch.cat([batch["mask"].flatten() for batch in loaders.val_dataloader()])
    with torch.no_grad():
        net.head.weight.zero_()  # type: ignore[union-attr,operator]
        net.head.bias.copy_(factor * (torch.bincount(masks, minlength=4) / len(masks)).log())  # type: ignore[union-attr,operator]
    return net


def test_a_temperature_is_fitted_on_val(tmp_path: Path, loaders: SegmentationData) -> None:
    for factor in (3.0, 0.5):
        teacher, known = ask(tmp_path, loaders, _too_sure(loaders, factor), Asking(calibrate=True))
        assert known is not None and known.temperatures == pytest.approx((factor,), rel=1e-3)
        assert known.members == 1 and known.flips == ()
        assert isinstance(teacher, Ensemble) and teacher.temperatures == known.temperatures


def test_all_networks_and_the_allowed_flips_are_put_together(tmp_path: Path, loaders: SegmentationData) -> None:
    nets = [_net(0), _net(1)]
    nets[0].head.bias.data[1] += 1.0  # type: ignore[union-attr,operator,index]
    teacher, known = ask(tmp_path, loaders, Ensemble(nets), Asking(calibrate=True, flips=True))
    assert isinstance(teacher, Ensemble) and known is not None
    assert known.members == 2 and known.flips == ("left-right",) and teacher.flips == ((), (3,))
    assert teacher.temperatures == known.temperatures and len(set(known.temperatures)) == 2
    assert [fingerprint(one) for one in members_of(teacher)] == [fingerprint(one) for one in nets]
    assert known.val_dice == dice_on_val(loaders, teacher)


def test_what_was_found_is_kept_for_the_next_training(
    tmp_path: Path, loaders: SegmentationData, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[float] = []
    fit = module.fit_temperature
    monkeypatch.setattr(module, "fit_temperature", lambda answers: made.append(fit(answers)) or made[-1])
    first, again = (ask(tmp_path, loaders, _net(0), Asking(calibrate=True)) for _ in range(2))
    assert first[1] == again[1] and fingerprint(first[0]) == fingerprint(again[0]) and len(made) == 1
    other = dataclasses.replace(loaders.config, precision="bfloat16")
    for teacher, how, config in (
        (_net(1), Asking(calibrate=True), loaders.config),
        (_net(0), Asking(calibrate=True, flips=True), loaders.config),
        (_net(0), Asking(calibrate=True), other),
    ):
        loaders.config = config
        ask(tmp_path, loaders, teacher, how)
    assert len(made) == 4


def test_val_is_scored_as_while_training(loaders: SegmentationData) -> None:
    net, counts = _net(0), torch.zeros(4, 4)
    net.head.bias.data[1] += 0.1  # type: ignore[union-attr,operator,index]
    for batch in loaders.val_dataloader():
        with torch.no_grad():
            ids = net(batch["image"].float() / 255.0).argmax(dim=1)
        counts += torch.bincount((batch["mask"].long() * 4 + ids).flatten(), minlength=16).view(4, 4)
    dice = 2 * counts.diagonal() / (counts.sum(0) + counts.sum(1)).clamp(min=1)
    assert 0.0 < dice_on_val(loaders, net) == pytest.approx(dice[1:].mean().item(), rel=1e-4)
