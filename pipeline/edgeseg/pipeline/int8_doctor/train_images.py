"""Training images to calibrate on and to look at activations with: never val, never test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from edgeseg.runtime.dataset import DataSet, Sample, read_image
from edgeseg.runtime.input_spec import InputSpec
from edgeseg.runtime.preprocess import prepare


def train_draw(data: DataSet, count: int, seed: int = 0) -> list[Sample]:
    """A seeded draw of at most `count` training samples."""
    train = data.split("train")
    return [train[int(index)] for index in np.random.default_rng(seed).permutation(len(train))[:count]]


def train_tensors(data: DataSet, samples: Sequence[Sample], spec: InputSpec) -> Iterator[np.ndarray]:
    """Each image as the network eats it, uint8 (1, H, W, C); of a tiled frame the middle tile."""
    for sample in samples:
        tensor = prepare(read_image(sample.image, data.color), spec).tensor
        middle = len(tensor) // 2
        yield tensor[middle : middle + 1]
