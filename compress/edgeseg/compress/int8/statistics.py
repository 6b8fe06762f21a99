"""What one pass over calibration images sees of every operation: all that range methods and the INT8 doctor need."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from edgeseg.compress.graph.trace import Recorder, trace
from edgeseg.compress.int8.histogram import Floats, Histogram
from edgeseg.runtime.errors import ConfigError, ExportError

SAMPLE = 1 << 14  # values of one result in one image that a histogram counts; extremes look at all


@dataclass
class Activation:
    """One operation's result over all images.

    Attributes:
        extremes: Smallest and largest value of each image.
        channel_low: Smallest value of each channel over all images, float64 (C,).
        channel_high: Largest likewise.
        histogram: Of an even sample of the values; empty where none was asked for.
    """

    channel_low: Floats
    channel_high: Floats
    extremes: list[tuple[float, float]] = field(default_factory=list)
    histogram: Histogram = field(default_factory=Histogram)

    @property
    def seen(self) -> tuple[float, float]:
        """Smallest and largest value; NaN if there was one."""
        return float(self.channel_low.min()), float(self.channel_high.max())


@dataclass
class Statistics:
    """What was seen of a network.

    Attributes:
        activations: By the operation's name in `trace`.
        n_images: How many images were seen.
        histograms: Whether histograms were kept.
    """

    activations: dict[str, Activation] = field(default_factory=dict)
    n_images: int = 0
    histograms: bool = True

    def of(self, key: str) -> Activation:
        """What was seen of one operation.

        Raises:
            ExportError: If it was never run.
        """
        if key not in self.activations:
            raise ExportError(f"operation {key} was not calibrated; collect statistics of the same network.")
        return self.activations[key]

    def note(self, key: str, value: Tensor) -> None:
        """Take in one result of an operation: float32 (N, C, ...), the same C always, or of one axis, one channel."""
        planes = value.transpose(0, 1).flatten(1) if value.dim() > 1 else value.reshape(1, -1)
        low, high = (side.double().numpy() for side in (planes.amin(dim=1), planes.amax(dim=1)))
        kept = self.activations.setdefault(key, Activation(low, high))
        # Not min() and max() of Python: they may drop a NaN, depending on its side.
        kept.channel_low, kept.channel_high = np.minimum(kept.channel_low, low), np.maximum(kept.channel_high, high)
        extremes = (float(low.min()), float(high.max()))
        kept.extremes.append(extremes)
        if self.histograms and all(map(math.isfinite, extremes)):
            flat = value.reshape(-1)
            step = -(-flat.numel() // SAMPLE) | 1  # odd, so that it does not look at the same columns in every row
            kept.histogram.add(flat[::step].numpy())


def collect_statistics(
    model: nn.Module, images: Iterable[np.ndarray], *, histograms: bool = True, divisor: float = 255.0
) -> Statistics:
    """Run a network over calibration images and look at every operation's result.

    Args:
        model: The network with batch norm folded (`fold_batch_norm`), so that its operations are the exported ones.
        images: Pixels, uint8 (N, H, W, C), from the training split, as `runtime.frame.preprocess` makes them.
        histograms: Whether to count values too; extremes alone are a little faster.
        divisor: What pixels are divided by first; 1 for the network of a `DeployGraph`, which does that itself.

    Raises:
        ConfigError: If an image is not uint8 (N, H, W, C).
        ExportError: If the network cannot be traced.
    """
    found = Statistics(histograms=histograms)
    recorder = Recorder(trace(model), found.note)
    with torch.no_grad():
        for batch in images:
            for pixels in _checked(batch):
                recorder.run(torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / divisor)
                found.n_images += 1
    return found


def _checked(batch: np.ndarray) -> np.ndarray:
    if batch.dtype != np.uint8 or batch.ndim != 4:
        raise ConfigError(f"calibration image is {batch.dtype} {batch.shape}; uint8 (N, H, W, C) is needed.")
    return np.ascontiguousarray(batch)
