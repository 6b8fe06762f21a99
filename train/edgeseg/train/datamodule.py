"""From a data set on disk to batches: the runtime's geometry, random tiles, order fixed by (seed, epoch)."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from edgeseg.runtime.data.dataset import DataSet, Sample, check_sizes, read_image
from edgeseg.runtime.data.ignored import as_background
from edgeseg.runtime.errors import ConfigError, DataError
from edgeseg.runtime.frame.intensity import apply_window
from edgeseg.runtime.frame.preprocess import resize
from edgeseg.runtime.spec.input_spec import Geometry
from edgeseg.train.config import TrainConfig
from edgeseg.train.epoch_sampler import EpochSampler
from edgeseg.train.transforms import Augment, draw_seed

Batch = dict[str, torch.Tensor]

UNLABELLED = 254  # every pixel of the mask of an image that has none; so there are at most 254 classes beside it


@dataclass(frozen=True)
class TileSampling:
    """How training tiles are cut from large frames.

    Attributes:
        tile_px: Side of the square tile.
        p_defect: Probability that a tile is centred near a random foreground pixel (oversampling of defects).
    """

    tile_px: int
    p_defect: float = 0.7


class FrameCache:
    """Decoded frames of one split in memory, at network size where the geometry resizes."""

    def __init__(self, samples: Sequence[Sample], data: DataSet, geometry: Geometry, stride_px: int) -> None:
        """Read every frame once.

        Raises:
            DataError: For a file that cannot be read, or a mask of another size, with its name.
        """
        self.ignores = data.ignore is not None
        self.images: list[np.ndarray] = []  # uint8 (H, W, C)
        self.masks: list[np.ndarray] = []  # uint8 (H, W), class ids and IGNORED
        for sample in samples:
            frame = read_image(sample.image, data.color, sample.window)
            image, mask = apply_window(frame, sample.window), sample.read_truth(len(data.classes))
            check_sizes(sample, image, mask)
            if geometry.mode == "resize":
                height, width = int(geometry.height_px or 0), int(geometry.width_px or 0)
                image = resize(image, height, width, geometry.interpolation)
                mask = resize(mask, height, width, "nearest")
            self.images.append(image if image.ndim == 3 else image[:, :, None])
            self.masks.append(mask)
        self.size_px = self._common_size(geometry, stride_px)

    def _common_size(self, geometry: Geometry, stride_px: int) -> tuple[int, int]:
        """Size of a training image: the geometry's own, or for native frames the largest all of them contain."""
        if geometry.mode == "resize":
            return int(geometry.height_px or 0), int(geometry.width_px or 0)
        if geometry.mode == "tile":
            return int(geometry.tile_px or 0), int(geometry.tile_px or 0)
        height = min(image.shape[0] for image in self.images) // stride_px * stride_px
        width = min(image.shape[1] for image in self.images) // stride_px * stride_px
        if not height or not width:
            raise DataError(f"a training frame is smaller than the network's stride of {stride_px} px; leave it out")
        return height, width


class TrainingImages(Dataset[Batch]):
    """Augmented images or tiles, addressed by (epoch, index)."""

    def __init__(
        self,
        cache: FrameCache,
        config: TrainConfig,
        tiles: TileSampling | None,
        unlabelled: Sequence[np.ndarray] = (),
    ) -> None:
        """Plan the draws.

        Args:
            cache: Frames with masks.
            config: Seed, augmentation and draws an epoch.
            tiles: How tiles are cut, or None.
            unlabelled: Frames uint8 (H, W, C) without masks, like those of `cache`. As many of them as of the others
                join every epoch, or all if there are fewer; the epochs take them in turns.

        Raises:
            DataError: If no mask has foreground.
        """
        self.cache, self.config, self.tiles = cache, config, tiles
        self.labelled = config.samples_per_epoch or len(cache.images)
        self.population = max(self.labelled, len(cache.images))
        self.unlabelled = unlabelled
        self.augment = Augment(config.augment, cache.size_px)
        self.foreground = [as_background(mask) for mask in cache.masks]  # no copies where every pixel counts
        self.with_foreground = [index for index, mask in enumerate(self.foreground) if mask.any()]
        if not self.with_foreground:
            left_out = " beside what `ignore` in dataset.yaml leaves out" if cache.ignores else ""
            raise DataError(f"no training mask has foreground{left_out}; a network cannot learn a class it never sees")

    def __len__(self) -> int:
        return self.labelled + self._joining

    @property
    def _joining(self) -> int:
        return min(self.labelled, len(self.unlabelled))

    def sampler(self, devices: int = 1) -> EpochSampler:
        """The keys of an epoch, in its order."""
        return EpochSampler(self.labelled, self.population, self.config.seed, devices=devices, joining=self._joining)

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        epoch, index = key
        seed = draw_seed(self.config.seed, epoch, index)
        rng = np.random.default_rng(seed)
        joined = index - self.population
        image, mask = self._cut(index, rng) if joined < 0 else self._cut_unlabelled(epoch, joined, rng)
        image, mask = self.augment(image, mask, seed)
        return {"image": torch.from_numpy(image), "mask": torch.from_numpy(mask)}

    def _cut(self, index: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The index-th frame, or a random tile: near a defect with `p_defect`, else anywhere in any frame."""
        n_frames = len(self.cache.images)
        if self.tiles is None:
            image, mask = self.cache.images[index % n_frames], self.cache.masks[index % n_frames]
            if image.shape[:2] == self.cache.size_px:
                return image, mask
            return _crop(image, mask, self.cache.size_px, rng, near=None)
        if rng.random() < self.tiles.p_defect:
            frame = self.with_foreground[int(rng.integers(len(self.with_foreground)))]
            mask = self.cache.masks[frame]
            pixels = np.flatnonzero(self.foreground[frame])
            near = divmod(int(pixels[rng.integers(len(pixels))]), mask.shape[1])
            return _crop(self.cache.images[frame], mask, self.cache.size_px, rng, near)
        frame = int(rng.integers(n_frames))
        return _crop(self.cache.images[frame], self.cache.masks[frame], self.cache.size_px, rng, near=None)

    def _cut_unlabelled(self, epoch: int, joined: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The next frame without a mask, or a random tile of it."""
        order = np.random.default_rng(self.config.seed).permutation(len(self.unlabelled))
        image = self.unlabelled[order[(epoch * self._joining + joined) % len(order)]]
        mask = np.full(image.shape[:2], UNLABELLED, np.uint8)
        return (image, mask) if mask.shape == self.cache.size_px else _crop(image, mask, self.cache.size_px, rng, None)


class FixedImages(Dataset[Batch]):
    """The validation view: every frame, or for tiles one around every defect region and one of every good frame."""

    def __init__(self, cache: FrameCache, *, tiled: bool) -> None:
        self.cache = cache
        self.places: list[tuple[int, tuple[int, int] | None]] = []
        for index, mask in enumerate(cache.masks):
            self.places += [(index, centre) for centre in (_centres(as_background(mask)) if tiled else [None])]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, position: int) -> Batch:
        index, near = self.places[position]
        image, mask = self.cache.images[index], self.cache.masks[index]
        if image.shape[:2] != self.cache.size_px:
            image, mask = _crop(image, mask, self.cache.size_px, None, near)
        return {"image": torch.from_numpy(image.transpose(2, 0, 1).copy()), "mask": torch.from_numpy(mask.copy())}


class SegmentationData(L.LightningDataModule):
    """Train and val loaders over one data set.

    Batches are `image` uint8 (N, C, H, W) and `mask` uint8 (N, H, W): the pixels that a device would see, and their
    class ids, `IGNORED` where they do not count.
    """

    def __init__(self, data: DataSet, geometry: Geometry, stride_px: int, config: TrainConfig, p_defect: float) -> None:
        super().__init__()
        if geometry.mode == "tile" and int(geometry.tile_px or 0) % stride_px:
            raise ConfigError(f"tile_px is {geometry.tile_px}; the network needs a multiple of {stride_px}")
        self.data, self.geometry, self.config = data, geometry, config
        self.stride_px = stride_px
        self.tiles = TileSampling(int(geometry.tile_px or 0), p_defect) if geometry.mode == "tile" else None
        # Read instead of drawing views anew; with the answers of a teacher (`edgeseg.compress.distill.stored_views`).
        self.stored: Dataset[Batch] | None = None
        # Frames without masks that join the training images; to be set before `setup`, for who can learn from them.
        self.unlabelled: tuple[np.ndarray, ...] = ()
        self._train: TrainingImages | None = None
        self._val: FixedImages | None = None

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002 - Lightning's signature
        """Read the frames once, before loader processes fork and share them."""
        cv2.setNumThreads(1)  # a forked loader would wait for ever for OpenCV's threads, which do not survive a fork
        if self._train is None:
            cache = FrameCache(self.data.split("train"), self.data, self.geometry, self.stride_px)
            self._train = TrainingImages(cache, self.config, self.tiles, self.unlabelled)
            held_out = FrameCache(self.data.split("val"), self.data, self.geometry, self.stride_px)
            self._val = FixedImages(held_out, tiled=self.tiles is not None)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Augmented batches; the last, smaller one is dropped where there is a full one."""
        assert self._train is not None
        config, drawn = self.config, len(self._train)
        if self.stored is None:
            sampler = self._train.sampler(config.devices)
        else:
            sampler = EpochSampler(drawn, drawn, config.seed, devices=config.devices)
        full = len(sampler) >= config.batch_size
        dataset = self._train if self.stored is None else self.stored
        loader = self._loader(dataset, sampler, drop_last=full)
        if self.trainer is not None:
            # Loader processes fetch ahead before Lightning says which epoch a resumed run is in; its steps tell.
            sampler.set_epoch(self.trainer.global_step // len(loader))
        return loader

    def val_dataloader(self) -> DataLoader[Batch]:
        """Every validation view once, unchanged."""
        assert self._val is not None
        return self._loader(self._val, None, drop_last=False)

    def training_images(self) -> TrainingImages:
        """The training images, as they are drawn where none are stored."""
        self.setup()
        assert self._train is not None
        return self._train

    def drawn_with(self, seed: int) -> SegmentationData:
        """The same frames, cut, augmented and ordered by another seed."""
        images, other = copy.copy(self.training_images()), copy.copy(self)
        other.config = images.config = dataclasses.replace(self.config, seed=seed)
        other._train = images
        return other

    def train_size_px(self) -> tuple[int, int]:
        """(height, width) of a training image [px]."""
        return self.training_images().cache.size_px

    def steps_per_epoch(self) -> int:
        """Optimiser steps of one epoch in each process."""
        self.setup()
        return len(self.train_dataloader())

    def _loader(self, dataset: Dataset[Batch], sampler: EpochSampler | None, *, drop_last: bool) -> DataLoader[Batch]:
        workers = self.config.workers if sampler is not None else 0
        return DataLoader(
            dataset,
            batch_size=self.config.batch_size,
            sampler=sampler,
            num_workers=workers,
            drop_last=drop_last,
            persistent_workers=workers > 0,
            worker_init_fn=_one_thread,
        )


def _crop(
    image: np.ndarray,
    mask: np.ndarray,
    size_px: tuple[int, int],
    rng: np.random.Generator | None,
    near: tuple[int, int] | None,
) -> tuple[np.ndarray, np.ndarray]:
    """A window of `size_px`, padded by reflection where the frame is smaller; around `near` with jitter where given."""
    pad = [max(0, size - have) for size, have in zip(size_px, image.shape[:2], strict=True)]
    if any(pad):
        planes = cv2.copyMakeBorder(image, 0, pad[0], 0, pad[1], cv2.BORDER_REFLECT_101)
        image = planes if planes.ndim == 3 else planes[:, :, None]
        mask = cv2.copyMakeBorder(mask, 0, pad[0], 0, pad[1], cv2.BORDER_REFLECT_101)
    corner = []
    for axis in (0, 1):
        room = image.shape[axis] - size_px[axis]
        if near is None:
            start = room // 2 if rng is None else int(rng.integers(room + 1))
        else:
            reach = size_px[axis] // 2 if rng is None else int(rng.integers(size_px[axis] // 8, size_px[axis] * 7 // 8))
            start = min(max(near[axis] - reach, 0), room)
        corner.append(start)
    rows, columns = slice(corner[0], corner[0] + size_px[0]), slice(corner[1], corner[1] + size_px[1])
    return image[rows, columns], mask[rows, columns]


def _centres(mask: np.ndarray) -> list[tuple[int, int] | None]:
    if not mask.any():
        return [None]
    _, _, _, centroids = cv2.connectedComponentsWithStats((mask > 0).astype(np.uint8), connectivity=8)
    return [(int(y), int(x)) for x, y in centroids[1:]]


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)
