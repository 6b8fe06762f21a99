"""Calibration images as the network eats them: chain, search and INT8 doctor look at the same pixels."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.compress.calibration.folder import ImageFolder
from edgeseg.compress.calibration.held_out import HeldOut
from edgeseg.compress.calibration.modality import check_modality, pixel_statistics
from edgeseg.compress.calibration.set import draw_balanced, draw_calibration
from edgeseg.runtime.data.dataset import DataSet, Sample, file_hash, read_image
from edgeseg.runtime.data.ignored import as_background
from edgeseg.runtime.errors import DataError
from edgeseg.runtime.frame.preprocess import prepare
from edgeseg.runtime.spec.input_spec import InputSpec


@dataclasses.dataclass(frozen=True)
class CalibrationImages:
    """What was drawn.

    Attributes:
        images: Samples of train, or files of a folder, in the order they were drawn.
        of: How many there were to draw from.
        images_by_class: How many of them hold each class; None where there are no masks.
        folder_sha256: Identity of the folder they come from; None where they come from train.
    """

    images: tuple[Sample | Path, ...]
    of: int
    images_by_class: dict[str, int] | None = None
    folder_sha256: str | None = None

    @property
    def stems(self) -> list[str]:
        """Names of the images."""
        return [one.stem for one in self.images]

    @property
    def contents(self) -> list[str]:
        """SHA-256 of the image files; an image that was changed keeps its name."""
        return [file_hash(one.image if isinstance(one, Sample) else one) for one in self.images]

    @property
    def words(self) -> str:
        """Such as `64 training images`."""
        return f"{len(self.images)} {'training images' if self.folder_sha256 is None else 'images of a folder'}"

    def to_json(self) -> dict[str, Any]:
        """For the record of a step."""
        return {
            "source": "train" if self.folder_sha256 is None else "folder",
            "images": self.stems,
            "of": self.of,
            "images_by_class": self.images_by_class,
            "folder_sha256": self.folder_sha256,
        }


def draw_images(data: DataSet, folder: ImageFolder | None, count: int, seed: int, spec: InputSpec) -> CalibrationImages:
    """Draw calibration images: of train, every class in turn, or of a folder, whose images have no masks.

    Args:
        data: The run's data set.
        folder: Of the user's own images, or None for train.
        count: How many; all of them if there are fewer.
        seed: Of the order.
        spec: What the network eats.

    Raises:
        ConfigError: If train has fewer than 8, or an image of the folder shows the same pixels as one of val or test.
        DataError: If an image cannot be read, or a folder's images are of another modality than train's.
    """
    train = data.split("train")
    if folder is None:
        drawn = draw_calibration(train, data.classes, count, seed)
        return CalibrationImages(drawn.samples, len(train), drawn.images_by_class)
    order = np.random.default_rng(seed).permutation(len(folder.images))[:count]
    images = tuple(folder.images[int(index)] for index in order)
    held_out = HeldOut(data)
    for path in images:
        held_out.refuse(folder, path, read_image(path, data.color, data.window), "calibrate")
    # Looked at alike, without masks, so that a difference is one of the images.
    known = [sample.image for sample in draw_balanced(train, data.classes, count, seed).samples]
    found, expected = (pixel_statistics(calibration_tensors(data, some, spec)) for some in (images, known))
    try:
        check_modality(found, expected)
    except DataError as err:
        raise DataError(f"{folder.named_by} is {folder.path}: {err}") from err
    return CalibrationImages(images, len(folder.images), folder_sha256=folder.sha256)


def calibration_tensors(data: DataSet, images: Sequence[Sample | Path], spec: InputSpec) -> Iterator[np.ndarray]:
    """Pixels as the runtime makes them; of a tiled frame the tile with most foreground and one in the middle.

    Ignored pixels are among them, for the device sees them too; they are no foreground. Where there is no mask the tile
    of most contrast stands for the one with most foreground.

    Args:
        data: For its colour, window and classes.
        images: With masks, or files without.
        spec: What the network eats.

    Yields:
        uint8 (N, H, W, C), one array an image.

    Raises:
        DataError: If an image or mask cannot be read.
    """
    as_ids = dataclasses.replace(spec, color="gray", window=None)
    for one in images:
        image = one.image if isinstance(one, Sample) else one
        tensor = prepare(read_image(image, data.color, data.window), spec).tensor
        if spec.geometry.mode != "tile":
            yield tensor
            continue
        if isinstance(one, Sample):
            tiles = prepare(as_background(one.read_truth(len(data.classes))), as_ids).tensor
            worth = (tiles > 0).sum(axis=(1, 2, 3))
        else:
            worth = tensor.std(axis=(1, 2, 3))
        yield tensor[sorted({int(worth.argmax()), len(tensor) // 2})]
