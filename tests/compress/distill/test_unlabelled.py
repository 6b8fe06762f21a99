"""Images without masks: joined to every epoch, taught by the teacher alone, never one of val or test."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from edgeseg.compress.calibration.folder import unlabelled_folder
from edgeseg.compress.distill.distill import DistillationModule, DistillConfig, class_ids, soft_loss
from edgeseg.compress.distill.stored_views import ViewOrder, stored_views
from edgeseg.compress.distill.unlabelled import read_unlabelled
from edgeseg.runtime.data.dataset import DataSet, open_dataset, read_image
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.spec.input_spec import Geometry
from edgeseg.train.config import AugmentConfig, TrainConfig
from edgeseg.train.datamodule import UNLABELLED, SegmentationData
from edgeseg.train.models import SegmentationNet, build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch
from edgeseg.train.models.unet import unet_arch
from edgeseg.train.synthetic.dataset import write_dataset

RESIZED = Geometry("resize", height_px=64, width_px=64)
TILES = Geometry("tile", tile_px=64, overlap_px=16)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("line") / "metal"
    write_dataset(root, n=6, seed=77, size_px=96)
    return root / "images"


@pytest.fixture
def data(synthetic_dir: Path) -> DataSet:
    return open_dataset(synthetic_dir)


def _read(data: DataSet, folder: Path, geometry: Geometry = RESIZED) -> tuple[np.ndarray, ...]:
    found = unlabelled_folder(data, str(folder))
    assert found is not None
    return read_unlabelled(data, str(folder), found.sha256, geometry)


def _loaders(
    data: DataSet, frames: tuple[np.ndarray, ...], geometry: Geometry = RESIZED, **changes: object
) -> SegmentationData:
    settings = {"batch_size": 4, "workers": 0, "threads": 1, "seed": 3} | changes
    augment = AugmentConfig(
        **dict.fromkeys(("p_affine", "p_elastic", "p_grid", "p_gamma", "p_noise", "p_blur"), 0),
        flip_horizontal=False,
        flip_vertical=False,
    )
    made = SegmentationData(data, geometry, 32, TrainConfig(augment=augment, **settings), p_defect=0.5)  # type: ignore[arg-type]
    made.unlabelled = frames
    made.setup()
    return made


def _epoch(loaders: SegmentationData, epoch: int) -> list[tuple[bool, bytes]]:
    images = loaders.training_images()
    sampler = images.sampler()
    sampler.set_epoch(epoch)
    batches = [images[key] for key in sampler]
    return [(bool((one["mask"] == UNLABELLED).all()), one["image"].numpy().tobytes()) for one in batches]


def test_as_many_as_of_the_others_join_every_epoch_in_turns(data: DataSet) -> None:
    frames = tuple(np.full((64, 64, 1), value, np.uint8) for value in range(2 * len(data.split("train")) - 3))
    loaders, seen = _loaders(data, frames), []
    labelled = len(data.split("train"))
    for epoch in range(2):
        drawn = _epoch(loaders, epoch)
        assert len(drawn) == 2 * labelled and sum(alone for alone, _ in drawn) == labelled
        assert drawn == _epoch(loaders, epoch)
        assert any(alone for alone, _ in drawn[: labelled // 2]) and not all(alone for alone, _ in drawn[:labelled])
        seen += [pixels[0] for alone, pixels in drawn if alone]
    assert set(seen) == set(range(len(frames)))
    assert loaders.steps_per_epoch() == 2 * labelled // 4


def test_the_others_are_drawn_as_without_them(data: DataSet, line: Path) -> None:
    frames = _read(data, line)
    assert len(frames) == 6
    for geometry in (RESIZED, TILES):
        with_them, plain = (
            _epoch(_loaders(data, _read(data, line, geometry), geometry), 1),
            _epoch(_loaders(data, (), geometry), 1),
        )
        assert sorted(pixels for alone, pixels in with_them if not alone) == sorted(pixels for _, pixels in plain)
        assert sum(alone for alone, _ in with_them) == 6
    shorter = _epoch(_loaders(data, frames, samples_per_epoch=4), 0)
    assert len(shorter) == 8 and sum(alone for alone, _ in shorter) == 4


def test_images_are_read_as_training_reads_its_own(data: DataSet, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    trained = data.split("train")[0]
    shutil.copy(trained.image, own)
    assert np.array_equal(_read(data, own)[0], _loaders(data, ()).training_images().cache.images[0])


def test_stored_views_hold_them_with_the_teachers_answer(data: DataSet, line: Path, tmp_path: Path) -> None:
    teacher = _net(0)
    loaders = _loaders(data, _read(data, line), batch_size=1)
    views = stored_views(tmp_path, loaders, teacher, ViewOrder(2, "float32"))
    assert len(views) == len(loaders.training_images()) == len(data.split("train")) + 6
    alone = [place for place in range(len(views)) if (views[1, place]["mask"] == UNLABELLED).all()]
    assert len(alone) == 6
    row = views[1, alone[0]]
    with torch.no_grad():
        expected = teacher(row["image"][None].float() / 255.0)[0]
    torch.testing.assert_close(row["answer"].float(), expected, atol=2e-3, rtol=2e-3)
    loaders.stored = views
    masks = torch.cat([batch["mask"] for batch in loaders.train_dataloader()])
    assert (masks == UNLABELLED).flatten(1).all(dim=1).sum() == 6
    stored_views(tmp_path, _loaders(data, ()), teacher, ViewOrder(2, "float32"))
    assert len(list(tmp_path.iterdir())) == 2


def _net(seed: int) -> SegmentationNet:
    torch.manual_seed(seed)
    return build_model(unet_arch(1, 4, base=4, depth=3)).eval()


def _module(**changes: object) -> DistillationModule:
    torch.manual_seed(0)
    student = build_model(efficient_unet_arch(1, 4, width=0.25, depth=0.34, stages=5))
    made = DistillationModule(student, _net(1), TrainConfig(), DistillConfig(**changes), n_classes=4, total_steps=4)  # type: ignore[arg-type]
    made.unlabelled = True
    return made.eval()


def _batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    x, target = torch.rand((3, 1, 32, 32), generator=generator), torch.randint(0, 4, (3, 32, 32), generator=generator)
    target[1] = UNLABELLED
    return x, target


def test_the_truth_is_asked_of_labelled_images_alone() -> None:
    (x, target), module = _batch(), _module(alpha=0.0, channel_weight=1e-9)
    expected = module.loss(module(x)[[0, 2]], target[[0, 2]])
    assert module.compute_loss(x, target).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("balanced", [True, False])
def test_the_teacher_is_heard_on_all(balanced: bool) -> None:
    (x, target), module = _batch(), _module(alpha=1.0, class_balanced=balanced)
    asked = module.upsample(module._teacher[0](x), x)
    target_or_seen = target.clone()
    target_or_seen[1] = class_ids(asked)[1]
    expected = soft_loss(module(x), asked, target_or_seen, module.distill)
    assert module.compute_loss(x, target).item() == pytest.approx(expected.item(), rel=1e-5)
    assert expected.item() != pytest.approx(
        soft_loss(module(x)[[0, 2]], asked[[0, 2]], target[[0, 2]], module.distill).item(), rel=1e-5
    )


def test_a_batch_without_any_mask_is_the_teachers() -> None:
    (x, target), module = _batch(), _module(alpha=0.5)
    target[:] = UNLABELLED
    loss = module.compute_loss(x, target)
    loss.backward()
    asked = module.upsample(module._teacher[0](x), x)
    assert loss.item() == pytest.approx(
        0.5 * soft_loss(module(x), asked, class_ids(asked), module.distill).item(), rel=1e-5
    )


@pytest.mark.parametrize("split", ["val", "test"])
def test_images_that_are_scored_are_refused(data: DataSet, line: Path, tmp_path: Path, split: str) -> None:
    own = Path(shutil.copytree(line, tmp_path / "own"))
    held_out = data.split(split)[1]
    shutil.copy(held_out.image, own / "harmless.png")
    with pytest.raises(
        ConfigError, match=rf"distill\.unlabelled is .*harmless, which is {held_out.stem} of {split}.*train on other"
    ):
        unlabelled_folder(data, str(own))
    # The same pixels in another file.
    assert cv2.imwrite(str(own / "harmless.bmp"), read_image(held_out.image, data.color, data.window))
    (own / "harmless.png").unlink()
    with pytest.raises(ConfigError, match=rf"harmless\.bmp shows the same pixels as an image of {split}"):
        _read(data, own)


def test_other_images_than_the_run_began_with_are_refused(data: DataSet, line: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="have changed since this run began"):
        read_unlabelled(data, str(line), "0" * 64, RESIZED)
    assert read_unlabelled(data, None, None, RESIZED) == ()
    with pytest.raises(ConfigError, match=r"distill\.unlabelled: there is no folder .*starts at the data set"):
        unlabelled_folder(data, "nowhere")
