"""Augmented views of the training images with the teacher's answers, made once and read by every distillation.

A teacher's forward pass is most of what a training step of a small student costs, and every training of a search pays
it again for views that differ by chance alone. With a limited number of views an image they are paid for once. The
answer still belongs to the very view that the student sees, which is what makes a teacher worth its cost (Beyer et al.
2021, arXiv:2106.05237, section 3: consistent teaching).
"""

from __future__ import annotations

import dataclasses
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from edgeseg.compress.distill.frozen import device, frozen
from edgeseg.compress.fingerprint import fingerprint
from edgeseg.runtime.data.dataset import content_hash, split_hash
from edgeseg.runtime.data.pixel_hash import pixel_hash
from edgeseg.runtime.errors import ConfigError, TrainingError
from edgeseg.runtime.files.atomic import write_json
from edgeseg.runtime.files.hashes import sha256_json
from edgeseg.train.datamodule import Batch, SegmentationData, TrainingImages
from edgeseg.train.models import SegmentationNet

_VERSION = 1  # goes up when equal keys come to other files
# ((view, place in it), images a view, image uint8 (C, H, W), mask uint8 (H, W))
Draw = tuple[tuple[int, int], int, torch.Tensor, torch.Tensor]

_WHOLE = "about.json"
_NAMES = ("image", "mask", "answer")


@dataclass(frozen=True)
class ViewOrder:
    """What views depend on beside the data and the teacher.

    Attributes:
        n_views: Views an image, or an epoch's worth of tiles.
        precision: `float32` or `bfloat16` of the teacher's forward pass.
    """

    n_views: int
    precision: str


class StoredViews(Dataset[Batch]):
    """Images, masks and answers on disk, addressed by (epoch, index); epoch `n_views` sees the first views again."""

    def __init__(self, folder: Path) -> None:
        # Mapped, not read: all trainings and their loader processes share the pages.
        self.arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _NAMES}
        self.n_views, self.n_images = self.arrays["image"].shape[:2]

    def __len__(self) -> int:
        return self.n_images

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        """`image` uint8 (C, H, W), `mask` uint8 (H, W), `answer` float16 logits (K, h, w) of the teacher."""
        epoch, index = key
        place = (epoch % self.n_views, index)
        return {name: torch.from_numpy(array[place].copy()) for name, array in self.arrays.items()}


def stored_views(
    root: Path,
    loaders: SegmentationData,
    teacher: SegmentationNet,
    order: ViewOrder,
    progress: Callable[[str], None] = lambda _: None,
    before_image: Callable[[], None] = lambda: None,
) -> StoredViews:
    """Read the views of these images and this teacher, or make them first.

    Args:
        root: Folder of all views of a run; each set is in a folder of its own, named after all it depends on.
        loaders: Set up, with the training's configuration.
        teacher: Whose answers are wanted; not modified.
        order: How many, and how precisely.
        progress: Called with a few words while views are made.
        before_image: Called before each; may wait, as `before_batch` of `edgeseg.train.fit.fit`.

    Returns:
        Whole views: `about.json` is written last, and views without it are made again. Of several processes that want
        the same ones, one makes them.

    Raises:
        ConfigError: If so few views would leave out images of an epoch that draws only some of them.
        TrainingError: If the disk has no room for them.
    """
    images = loaders.training_images()
    frames = len(images.cache.images)
    if loaders.tiles is None and images.labelled * order.n_views < frames:
        raise ConfigError(
            f"{order.n_views} views of {images.labelled} images an epoch are fewer than the {frames} training "
            "images, some of which would never be seen; raise distill.views, or set train.samples_per_epoch to 0"
        )
    folder = root / _key(loaders, teacher, order)
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder / "lock"):
        if not (folder / _WHOLE).is_file():
            _make(folder, _draws(images, order.n_views, before_image), teacher, order, progress)
            write_json(folder / _WHOLE, dataclasses.asdict(order))
    return StoredViews(folder)


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Wait until no other process is in such a block; a killed one is in none."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _key(loaders: SegmentationData, teacher: SegmentationNet, order: ViewOrder) -> str:
    config, data = loaders.config, loaders.data
    parts = {
        "version": _VERSION,
        "order": dataclasses.asdict(order),
        "teacher": fingerprint(teacher),
        "data": [content_hash(data), split_hash(data)],
        "geometry": [dataclasses.asdict(loaders.geometry), loaders.stride_px],
        "tiles": None if loaders.tiles is None else dataclasses.asdict(loaders.tiles),
        "augment": dataclasses.asdict(config.augment),
        "draws": [config.seed, config.samples_per_epoch],
        "sums": [config.threads, device()],  # whose order decides the last bits of an answer
    }
    if loaders.unlabelled:
        parts["unlabelled"] = [pixel_hash(frame) for frame in loaders.unlabelled]
    return sha256_json(parts)[:16]


def _make(
    folder: Path,
    draws: Iterator[Draw],
    teacher: SegmentationNet,
    order: ViewOrder,
    progress: Callable[[str], None],
) -> None:
    ask = frozen(teacher, order.precision)
    arrays: dict[str, np.memmap] = {}
    for (view, index), n_images, image, mask in draws:
        # One image at a time: what a view's answer is must not depend on which others share its batch.
        answer = ask(image[None])[0]
        row = {"image": image.numpy(), "mask": mask.numpy(), "answer": answer.half().cpu().numpy()}
        if not arrays:
            arrays = _open(folder, row, (order.n_views, n_images))
        for name, value in row.items():
            arrays[name][view, index] = value
        if index == 0:
            progress(f"the teacher's answers, view {view + 1} of {order.n_views}")
    for array in arrays.values():
        array.flush()


def _draws(images: TrainingImages, n_views: int, before_image: Callable[[], None]) -> Iterator[Draw]:
    """Every view with its place: those that a training's first `n_views` epochs would draw."""
    sampler = images.sampler()
    for view in range(n_views):
        sampler.set_epoch(view)
        for place, key in enumerate(sampler):
            before_image()
            batch = images[key]
            yield (view, place), len(images), batch["image"], batch["mask"]


def _open(folder: Path, row: dict[str, np.ndarray], outer: tuple[int, int]) -> dict[str, np.memmap]:
    """Empty arrays for rows like this one, with their room on the disk.

    Raises:
        TrainingError: If there is none: a mapped file that cannot grow ends the process without a word.
    """
    arrays = {}
    for name, value in row.items():
        path, shape = folder / f"{name}.npy", outer + value.shape
        array = np.lib.format.open_memmap(path, mode="w+", dtype=value.dtype, shape=shape)
        try:
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as err:
            path.unlink()
            free_gb = shutil.disk_usage(folder).free / 1e9
            raise TrainingError(
                f"{path} needs {array.nbytes / 1e9:.1f} GB, {free_gb:.1f} GB are free ({err.strerror}); free some, "
                "lower distill.views, or set it to 0 for fresh views in every epoch"
            ) from err
        arrays[name] = array
    return arrays
