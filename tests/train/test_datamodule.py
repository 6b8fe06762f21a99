"""From the data set to batches: geometry, tiles that oversample defects, order fixed by (seed, epoch)."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from edgeseg.runtime.data.dataset import DataSet, open_dataset, read_image, read_mask
from edgeseg.runtime.errors import ConfigError, DataError
from edgeseg.runtime.frame.intensity import spread
from edgeseg.runtime.spec.input_spec import Geometry
from edgeseg.train import datamodule
from edgeseg.train.config import AugmentConfig, TrainConfig
from edgeseg.train.datamodule import (
    EpochSampler,
    FixedImages,
    FrameCache,
    SegmentationData,
    TileSampling,
    TrainingImages,
)

PLAIN = AugmentConfig(
    flip_horizontal=False, flip_vertical=False, p_affine=0, p_elastic=0, p_grid=0, p_gamma=0, p_noise=0, p_blur=0
)
NATIVE = Geometry("native", None, None, None, None)


def _config(**changes: object) -> TrainConfig:
    settings = {"augment": PLAIN, "batch_size": 4, "workers": 0, "threads": 1}
    return TrainConfig(**(settings | changes))  # type: ignore[arg-type]


def _folder(root: Path, masks: dict[str, np.ndarray], splits: dict[str, str], color: str = "gray") -> DataSet:
    """A data set whose images equal 10 + 40 x mask, so that any image tells its mask."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for stem, mask in masks.items():
        pixels = (10 + 40 * mask).astype(np.uint8)
        pixels[:3, 0] = list(stem.encode()[-3:])  # no two files alike
        cv2.imwrite(str(root / "images" / f"{stem}.png"), pixels if color == "gray" else cv2.merge([pixels] * 3))
        cv2.imwrite(str(root / "masks" / f"{stem}.png"), mask)
    rows = "".join(f"{stem},{splits[stem]}\n" for stem in masks)
    (root / "meta.csv").write_text("stem,split\n" + rows)
    (root / "dataset.yaml").write_text(
        f"name: tiny\nclasses: [background, spot, bar]\ncolor: {color}\nlicence: CC0-1.0\nmay_redistribute: true\n"
    )
    return open_dataset(root)


@pytest.fixture
def large(tmp_path: Path) -> DataSet:
    """Six frames of 200x300: four of train (two with a 6x6 spot), one val with two spots, one test."""
    masks = {f"f{i:02d}": np.zeros((200, 300), np.uint8) for i in range(6)}
    masks["f00"][150:156, 280:286] = 1
    masks["f01"][0:6, 3:9] = 2
    masks["f04"][20:26, 20:26], masks["f04"][170:176, 250:256] = 1, 2
    masks["f05"][90:96, 90:96] = 1
    splits = {"f04": "val", "f05": "test"}
    return _folder(tmp_path / "large", masks, {stem: splits.get(stem, "train") for stem in masks})


def test_native_batches_are_the_pixels_of_the_files(synthetic_data: DataSet) -> None:
    data = SegmentationData(synthetic_data, NATIVE, 16, _config(), p_defect=0.5)
    data.setup()
    batch = next(iter(data.val_dataloader()))
    assert batch["image"].dtype == batch["mask"].dtype == torch.uint8
    assert batch["image"].shape == (4, 1, 96, 96)
    assert batch["mask"].shape == (4, 96, 96)
    first = synthetic_data.split("val")[0]
    assert np.array_equal(batch["image"][0, 0].numpy(), read_image(first.image, "gray"))
    assert np.array_equal(batch["mask"][0].numpy(), read_mask(first.mask, 4))


def test_resize_is_the_runtimes(synthetic_data: DataSet) -> None:
    from edgeseg.runtime.frame.preprocess import resize

    data = SegmentationData(synthetic_data, Geometry("resize", 64, 80, None, None, "area"), 16, _config(), p_defect=0.5)
    data.setup()
    batch = next(iter(data.val_dataloader()))
    assert batch["image"].shape == (4, 1, 64, 80)
    first = synthetic_data.split("val")[0]
    assert np.array_equal(batch["image"][0, 0].numpy(), resize(read_image(first.image, "gray"), 64, 80, "area"))
    assert set(batch["mask"].unique().tolist()) <= {0, 1, 2, 3}


def test_rgb_has_three_planes(tmp_path: Path) -> None:
    mask = np.zeros((32, 48), np.uint8)
    mask[4:9, 4:9] = 1
    data = _folder(tmp_path / "rgb", {"a01": mask, "a02": mask}, {"a01": "train", "a02": "val"}, color="rgb")
    module = SegmentationData(data, NATIVE, 16, _config(batch_size=1), p_defect=0.5)
    module.setup()
    assert next(iter(module.train_dataloader()))["image"].shape == (1, 3, 32, 48)


def test_tiles_oversample_defects(large: DataSet) -> None:
    """Blind tiles would see the two 6x6 spots in a few percent of the draws."""
    geometry = Geometry("tile", None, None, 64, 16)
    shares = {}
    for p_defect in (0.0, 0.7, 1.0):
        cache = FrameCache(large.split("train"), large, geometry, 32)
        images = TrainingImages(cache, _config(samples_per_epoch=200), TileSampling(64, p_defect))
        tiles = [images[0, index] for index in range(len(images))]
        assert all(tile["image"].shape == (1, 64, 64) and tile["mask"].shape == (64, 64) for tile in tiles)
        shares[p_defect] = np.mean([bool(tile["mask"].any()) for tile in tiles])
        for tile in tiles:  # a tile's mask belongs to its pixels
            inside = tile["image"][0, 3:, 1:] >= 45
            assert torch.equal(inside & (tile["mask"][3:, 1:] > 0), tile["mask"][3:, 1:] > 0)
    assert shares[0.0] < 0.2
    assert 0.6 < shares[0.7] < 0.85
    assert shares[1.0] == 1.0


def test_tiles_show_a_defect_at_many_places(large: DataSet) -> None:
    cache = FrameCache(large.split("train"), large, Geometry("tile", None, None, 64, 16), 32)
    images = TrainingImages(cache, _config(samples_per_epoch=80), TileSampling(64, 1.0))
    spots = [np.argwhere(images[0, index]["mask"].numpy() == 1) for index in range(80)]
    centres = {tuple(spot.mean(axis=0).astype(int) // 8) for spot in spots if len(spot)}
    assert len(centres) >= 8


def test_validation_tiles_cover_every_defect(large: DataSet) -> None:
    module = SegmentationData(large, Geometry("tile", None, None, 64, 16), 32, _config(batch_size=8), p_defect=0.7)
    module.setup()
    masks = torch.cat([batch["mask"] for batch in module.val_dataloader()])
    assert [int((masks == class_id).any(dim=(1, 2)).sum()) for class_id in (1, 2)] == [1, 1]
    assert (masks == 1).sum() == (masks == 2).sum() == 36


def test_a_good_frame_still_gives_a_validation_tile(large: DataSet) -> None:
    cache = FrameCache(large.split("train"), large, Geometry("tile", None, None, 64, 16), 32)
    assert len(FixedImages(cache, tiled=True)) == 4  # one of every spot, one of every good frame
    assert len(FixedImages(cache, tiled=False)) == 4


def test_tiles_larger_than_the_frame_are_padded_by_reflection(large: DataSet) -> None:
    cache = FrameCache(large.split("train"), large, Geometry("tile", None, None, 256, 32), 32)
    tile = TrainingImages(cache, _config(samples_per_epoch=4), TileSampling(256, 0.0))[0, 0]
    assert tile["image"].shape == (1, 256, 256)
    assert tile["image"].min() >= 10, "no black border"


def test_tile_px_must_fit_the_network(large: DataSet) -> None:
    with pytest.raises(ConfigError, match="tile_px is 72; the network needs a multiple of 32"):
        SegmentationData(large, Geometry("tile", None, None, 72, 16), 32, _config(), p_defect=0.5)


def test_frames_smaller_than_the_stride_are_refused(tmp_path: Path) -> None:
    mask = np.zeros((12, 40), np.uint8)
    mask[2:5, 2:5] = 1
    data = _folder(tmp_path / "small", {"a01": mask, "a02": mask}, {"a01": "train", "a02": "val"})
    with pytest.raises(DataError, match="smaller than the network's stride of 16"):
        SegmentationData(data, NATIVE, 16, _config(), p_defect=0.5).setup()


def test_frames_of_many_sizes_are_cropped_to_one(tmp_path: Path) -> None:
    masks = {
        stem: np.zeros(shape, np.uint8) for stem, shape in (("a01", (50, 70)), ("a02", (90, 66)), ("a03", (64, 64)))
    }
    for mask in masks.values():
        mask[20:30, 20:30] = 1
    data = _folder(tmp_path / "sizes", masks, {"a01": "train", "a02": "train", "a03": "val"})
    module = SegmentationData(data, NATIVE, 16, _config(batch_size=2), p_defect=0.5)
    module.setup()
    assert next(iter(module.train_dataloader()))["image"].shape == (2, 1, 48, 64)


def test_a_training_split_without_defects_is_refused(tmp_path: Path) -> None:
    empty, spot = np.zeros((32, 32), np.uint8), np.zeros((32, 32), np.uint8)
    spot[4:8, 4:8] = 1
    data = _folder(tmp_path / "good", {"a01": empty, "a02": spot}, {"a01": "train", "a02": "val"})
    with pytest.raises(DataError, match="no training mask has foreground"):
        SegmentationData(data, NATIVE, 16, _config(), p_defect=0.5).setup()


def test_an_empty_split_is_named(tmp_path: Path) -> None:
    spot = np.ones((32, 32), np.uint8)
    data = _folder(tmp_path / "noval", {"a01": spot, "a02": spot}, {"a01": "train", "a02": "test"})
    with pytest.raises(DataError, match="'val' is empty"):
        SegmentationData(data, NATIVE, 16, _config(), p_defect=0.5).setup()


def test_order_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        sampler = EpochSampler(30, 30, seed)
        sampler.set_epoch(epoch)
        keys = list(sampler)
        assert {key[0] for key in keys} == {epoch}
        return [key[1] for key in keys]

    assert sorted(order(0, 0)) == list(range(30))
    assert order(0, 3) == order(0, 3)
    assert order(0, 3) != order(0, 4)
    assert order(0, 3) != order(1, 3)


@pytest.mark.parametrize("length", [9, 10])
def test_processes_share_an_epoch_without_overlap(monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    drawn: list[int] = []
    for rank in range(2):
        monkeypatch.setattr(EpochSampler, "_rank", lambda self, rank=rank: (rank, 2))
        sampler = EpochSampler(length, length, seed=0)
        keys = [index for _, index in sampler]
        assert len(keys) == len(sampler) == length // 2
        drawn += keys
    assert len(set(drawn)) == len(drawn)


def _epoch(module: SegmentationData, epoch: int) -> torch.Tensor:
    loader = module.train_dataloader()
    loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
    return torch.cat([batch["image"] for batch in loader])


def test_loader_processes_change_nothing(synthetic_data: DataSet) -> None:
    batches = []
    for workers in (0, 2):
        config = _config(workers=workers, augment=AugmentConfig(p_elastic=0, p_grid=0), seed=4)
        module = SegmentationData(synthetic_data, NATIVE, 16, config, p_defect=0.5)
        module.setup()
        batches.append((_epoch(module, 3), _epoch(module, 4)))
    assert torch.equal(batches[0][0], batches[1][0])
    assert torch.equal(batches[0][1], batches[1][1])
    assert not torch.equal(batches[0][0], batches[0][1])


def test_steps_and_the_smaller_last_batch(synthetic_data: DataSet) -> None:
    n_train = len(synthetic_data.split("train"))
    for batch_size, steps in ((4, n_train // 4), (n_train + 1, 1)):
        module = SegmentationData(synthetic_data, NATIVE, 16, _config(batch_size=batch_size), p_defect=0.5)
        assert module.steps_per_epoch() == steps == len(list(module.train_dataloader()))


@pytest.mark.parametrize("draws", [5, 12])
def test_fewer_draws_than_frames_still_reach_every_frame(synthetic_data: DataSet, draws: int) -> None:
    """`samples_per_epoch` shortens the epoch, it does not shrink the training set."""
    module = SegmentationData(synthetic_data, NATIVE, 16, _config(samples_per_epoch=draws, batch_size=1), p_defect=0.5)
    module.setup()
    seen: Counter[bytes] = Counter()
    for epoch in range(12):
        images = _epoch(module, epoch)
        assert len(images) == draws
        seen.update(image.numpy().tobytes() for image in images)
    assert len(seen) == len(synthetic_data.split("train"))


def test_steps_are_those_of_each_process(synthetic_data: DataSet) -> None:
    """The schedule's length is asked before the processes are there."""
    one = SegmentationData(synthetic_data, NATIVE, 16, _config(batch_size=2), p_defect=0.5)
    two = SegmentationData(synthetic_data, NATIVE, 16, _config(batch_size=2, devices=2), p_defect=0.5)
    assert two.steps_per_epoch() == one.steps_per_epoch() // 2


def test_setup_twice_reads_once(synthetic_data: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    module = SegmentationData(synthetic_data, NATIVE, 16, _config(), p_defect=0.5)
    module.setup()
    monkeypatch.setattr(datamodule, "read_image", None)
    module.setup("fit")
    assert len(copy.copy(module).val_dataloader()) >= 1


def test_an_unreadable_file_is_named(tmp_path: Path, synthetic_dir: Path) -> None:
    import shutil

    root = tmp_path / "broken"
    shutil.copytree(synthetic_dir, root)
    data = open_dataset(root)
    broken = data.split("train")[0].image
    broken.write_bytes(broken.read_bytes()[:100])
    with pytest.raises(DataError, match=broken.name):
        SegmentationData(data, NATIVE, 16, _config(), p_defect=0.5).setup()


def test_16_bit_frames_are_trained_on_through_their_window(tmp_path: Path) -> None:
    masks = {f"f{i:02d}": np.full((16, 16), i % 3, np.uint8) for i in range(3)}
    data = _folder(tmp_path, masks, {"f00": "train", "f01": "train", "f02": "val"})
    flat = FrameCache(data.split("train"), data, NATIVE, 8)
    for path in (tmp_path / "images").iterdir():
        cv2.imwrite(str(path), spread(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), (400, 3000)))
    with (tmp_path / "dataset.yaml").open("a") as file:
        file.write("window: [400, 3000]\n")
    deep_data = open_dataset(tmp_path)
    deep = FrameCache(deep_data.split("train"), deep_data, NATIVE, 8)
    assert all(image.dtype == np.uint8 for image in deep.images)
    assert np.array_equal(np.stack(flat.images), np.stack(deep.images))


def test_a_mask_of_another_size_than_its_image_is_refused_before_training(tmp_path: Path) -> None:
    masks = {f"f{i:02d}": np.full((16, 32), i % 3, np.uint8) for i in range(3)}
    data = _folder(tmp_path, masks, {"f00": "train", "f01": "train", "f02": "val"})
    cv2.imwrite(str(tmp_path / "masks" / "f01.png"), masks["f01"].T)
    with pytest.raises(DataError, match=r"masks/f01\.png: 16x32, but its image"):
        FrameCache(data.split("train"), data, Geometry("resize", 16, 16), 8)
