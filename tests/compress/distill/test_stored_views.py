"""Stored views: the pixels that fresh epochs draw, the teacher's own answers, made once, whole or not at all."""

from __future__ import annotations

import dataclasses
import errno
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from edgeseg.compress.distill import stored_views as module
from edgeseg.compress.distill.distill import DistillationModule, DistillConfig
from edgeseg.compress.distill.stored_views import StoredViews, ViewOrder, stored_views
from edgeseg.runtime.data.dataset import open_dataset
from edgeseg.runtime.errors import ConfigError, TrainingError
from edgeseg.runtime.spec.input_spec import Geometry
from edgeseg.train.config import AugmentConfig, TrainConfig
from edgeseg.train.datamodule import EpochSampler, SegmentationData
from edgeseg.train.fit import fit
from edgeseg.train.models import SegmentationNet, build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch
from edgeseg.train.models.unet import unet_arch

RESIZED = Geometry("resize", height_px=64, width_px=64)
TILES = Geometry("tile", tile_px=64, overlap_px=16)
ORDER = ViewOrder(2, "float32")


def _net(arch: dict[str, object], seed: int = 0) -> SegmentationNet:
    torch.manual_seed(seed)
    return build_model(arch).eval()


@pytest.fixture
def teacher() -> SegmentationNet:
    return _net(unet_arch(1, 4, base=4, depth=3))


@pytest.fixture
def loaders(synthetic_dir: Path) -> SegmentationData:
    return _loaders(synthetic_dir, RESIZED)


def _loaders(folder: Path, geometry: Geometry, **changes: object) -> SegmentationData:
    settings = {"epochs": 5, "batch_size": 4, "validate_every": 1, "workers": 0, "threads": 1, "seed": 3}
    config = TrainConfig(augment=AugmentConfig(p_elastic=0, p_grid=0), **(settings | changes))  # type: ignore[arg-type]
    made = SegmentationData(open_dataset(folder), geometry, 32, config, p_defect=0.5)
    made.setup()
    return made


@pytest.mark.parametrize(("geometry", "draws"), [(RESIZED, 0), (RESIZED, 7), (TILES, 9)])
def test_views_are_what_fresh_epochs_draw_and_answers_are_the_teachers(
    tmp_path: Path, synthetic_dir: Path, teacher: SegmentationNet, geometry: Geometry, draws: int
) -> None:
    loaders = _loaders(synthetic_dir, geometry, samples_per_epoch=draws)
    views = stored_views(tmp_path, loaders, teacher, ORDER)
    images = loaders.training_images()
    assert len(views) == len(images)
    for epoch in range(2):
        sampler = EpochSampler(len(images), len(images.cache.images), 3)
        sampler.set_epoch(epoch)
        for place, key in enumerate(sampler):
            fresh, stored = images[key], views[epoch, place]
            assert torch.equal(fresh["image"], stored["image"])
            assert torch.equal(fresh["mask"], stored["mask"])
            with torch.no_grad():
                expected = teacher(fresh["image"][None].float() / 255.0)[0]
            assert stored["answer"].dtype == torch.float16
            torch.testing.assert_close(stored["answer"].float(), expected, atol=2e-3, rtol=2e-3)


def test_later_epochs_take_the_views_in_turns(
    tmp_path: Path, loaders: SegmentationData, teacher: SegmentationNet
) -> None:
    views = stored_views(tmp_path, loaders, teacher, ORDER)
    assert torch.equal(views[4, 1]["image"], views[0, 1]["image"])
    assert torch.equal(views[3, 1]["answer"], views[1, 1]["answer"])
    assert not torch.equal(views[0, 1]["image"], views[1, 1]["image"])


def test_equal_orders_are_made_once_and_others_apart(
    tmp_path: Path, synthetic_dir: Path, teacher: SegmentationNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []
    make = module._make
    monkeypatch.setattr(module, "_make", lambda folder, *rest: (made.append(folder), make(folder, *rest)))
    loaders = _loaders(synthetic_dir, RESIZED)
    stored_views(tmp_path, loaders, teacher, ORDER)
    stored_views(tmp_path, _loaders(synthetic_dir, RESIZED), teacher, ORDER)
    # How long and how fast a training goes changes no view.
    stored_views(tmp_path, _loaders(synthetic_dir, RESIZED, epochs=9, learning_rate=1e-4), teacher, ORDER)
    assert len(made) == 1
    stored_views(tmp_path, loaders, _net(unet_arch(1, 4, base=4, depth=3), seed=1), ORDER)
    stored_views(tmp_path, loaders, teacher, dataclasses.replace(ORDER, n_views=1))
    stored_views(tmp_path, loaders, teacher, dataclasses.replace(ORDER, precision="bfloat16"))
    stored_views(tmp_path, _loaders(synthetic_dir, RESIZED, seed=4), teacher, ORDER)
    stored_views(tmp_path, _loaders(synthetic_dir, Geometry("resize", height_px=32, width_px=32)), teacher, ORDER)
    assert len({folder.name for folder in made}) == len(made) == 6
    assert len(list(tmp_path.iterdir())) == 6


def test_half_made_views_are_made_again(
    tmp_path: Path, loaders: SegmentationData, teacher: SegmentationNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(words: str) -> None:
        if "view 2" in words:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stored_views(tmp_path, loaders, teacher, ORDER, killed)
    assert not list(tmp_path.glob("*/about.json"))
    views = stored_views(tmp_path, loaders, teacher, ORDER)
    assert np.asarray(views.arrays["image"][1]).any() and list(tmp_path.glob("*/about.json"))


def test_two_processes_make_equal_views_once(
    tmp_path: Path, synthetic_dir: Path, teacher: SegmentationNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []
    make = module._make
    monkeypatch.setattr(module, "_make", lambda folder, *rest: (made.append(folder), make(folder, *rest)))
    found: list[StoredViews] = []

    def want() -> None:
        found.append(stored_views(tmp_path, _loaders(synthetic_dir, RESIZED), teacher, ORDER))

    threads = [threading.Thread(target=want) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1 and len(found) == 2


def test_views_that_would_leave_out_images_are_refused(
    tmp_path: Path, synthetic_dir: Path, teacher: SegmentationNet
) -> None:
    few = _loaders(synthetic_dir, RESIZED, samples_per_epoch=2)
    with pytest.raises(ConfigError, match=r"raise distill\.views"):
        stored_views(tmp_path, few, teacher, ViewOrder(1, "float32"))


def test_a_full_disk_is_said_before_anything_is_mapped(
    tmp_path: Path, loaders: SegmentationData, teacher: SegmentationNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os, "posix_fallocate", full)
    with pytest.raises(TrainingError, match=r"free some, lower distill\.views"):
        stored_views(tmp_path, loaders, teacher, ORDER)
    assert not list(tmp_path.rglob("*.npy"))


def test_a_training_follows_stored_answers_without_asking_the_teacher(
    tmp_path: Path, loaders: SegmentationData, teacher: SegmentationNet
) -> None:
    loaders.stored = stored_views(tmp_path / "views", loaders, teacher, ORDER)
    assert isinstance(loaders.stored, StoredViews)
    student = _net(efficient_unet_arch(1, 4, width=0.25, stages=3), seed=2)
    steps = loaders.config.epochs * loaders.steps_per_epoch()
    training = DistillationModule(
        student, teacher, loaders.config, DistillConfig(alpha=1.0), n_classes=4, total_steps=steps
    )

    def refuse(*_: object) -> None:
        raise AssertionError("the teacher was asked")

    training._teacher[0].register_forward_pre_hook(refuse)
    result = fit(training, loaders, tmp_path / "work")
    losses = [row["train_loss"] for row in result.history]
    assert losses[-1] < losses[0]
