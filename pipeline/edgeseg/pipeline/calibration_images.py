"""Calibration images as the network eats them: the chain, a fit and the INT8 doctor look at the same pixels."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from edgeseg.runtime.dataset import DataSet, Sample, read_image, read_mask
from edgeseg.runtime.input_spec import InputSpec
from edgeseg.runtime.preprocess import prepare


def calibration_tensors(data: DataSet, samples: Sequence[Sample], spec: InputSpec) -> Iterator[np.ndarray]:
    """Pixels as the runtime makes them; of a tiled frame the tile with most foreground and one in the middle.

    Yields:
        uint8 (N, H, W, C), one array an image.
    """
    for sample in samples:
        tensor = prepare(read_image(sample.image, data.color), spec).tensor
        if spec.geometry.mode != "tile":
            yield tensor
            continue
        mask = read_mask(sample.mask, len(data.classes))
        tiles = prepare(mask, dataclasses.replace(spec, color="gray")).tensor
        fullest = int((tiles > 0).sum(axis=(1, 2, 3)).argmax())
        yield tensor[sorted({fullest, len(tensor) // 2})]
