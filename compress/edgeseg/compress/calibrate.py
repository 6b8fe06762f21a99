"""The ranges of every activation on training images: collected once, fed to every INT8 writer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from edgeseg.compress.trace import INPUT, Recorder, trace
from edgeseg.runtime.errors import ConfigError, ExportError

Method = Literal["minmax", "moving_average", "percentile"]

MIN_IMAGES = 8
MOMENTUM = 0.1  # weight of the newest image in `moving_average`
PERCENTILE = 99.99
_SAMPLE = 1 << 20  # values of one tensor looked at by `percentile`


@dataclass(frozen=True)
class Ranges:
    """Smallest and largest value of every operation's result.

    Attributes:
        values: (min, max) by the operation's name in `trace`; `image` is fixed at (0, 255), raw pixels.
        method: How the values of several images were joined.
        n_images: How many images were seen.
    """

    values: dict[str, tuple[float, float]]
    method: Method
    n_images: int

    def __post_init__(self) -> None:
        if self.n_images < MIN_IMAGES:
            raise ConfigError(f"ranges come from {self.n_images} images; calibrate on at least {MIN_IMAGES}.")
        for key, (low, high) in self.values.items():
            if not (math.isfinite(low) and math.isfinite(high) and low <= high):
                raise ExportError(
                    f"the range of {key} is [{low}, {high}]; the network's values are not finite there. "
                    "Look at its weights and at the training loss, then calibrate again."
                )

    def of(self, key: str) -> tuple[float, float]:
        """Range of one operation.

        Raises:
            ExportError: If it was not calibrated.
        """
        if key not in self.values:
            raise ExportError(f"operation {key} has no calibrated range; calibrate the same network you export.")
        return self.values[key]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object; `from_json` reads it back to equal ranges."""
        values = {key: list(pair) for key, pair in self.values.items()}
        return {"method": self.method, "n_images": self.n_images, "values": values}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Ranges:
        """Read what `to_json` wrote.

        Raises:
            ConfigError: If a key is missing or unknown, or an entry is no pair of numbers.
        """
        if set(value) != {"method", "n_images", "values"}:
            raise ConfigError(f"ranges have the keys {sorted(value)}; method, n_images, values are needed.")
        try:
            pairs = {key: (float(low), float(high)) for key, (low, high) in value["values"].items()}
            return cls(pairs, value["method"], int(value["n_images"]))
        except (TypeError, ValueError, AttributeError) as err:
            raise ConfigError(f"ranges hold something that is no pair of numbers ({err}). Calibrate again.") from err


def collect_ranges(model: nn.Module, images: Iterable[np.ndarray], method: Method = "minmax") -> Ranges:
    """Run a network over calibration images and note the range of every operation.

    Args:
        model: The network with batch norm folded (`fold_batch_norm`), so that its operations are the exported ones.
        images: Pixels, uint8 (N, H, W, C), from the training split, as `runtime.preprocess` makes them.
        method: `minmax` keeps the extremes of all images; `moving_average` averages the extremes per image with
            momentum; `percentile` averages the 0.01 and 99.99 % quantiles per image, which cuts outliers off.

    Returns:
        The ranges, by operation.

    Raises:
        ConfigError: If there are fewer than 8 images, or one is not uint8 (N, H, W, C).
        ExportError: If a value is NaN or infinite, or the network cannot be traced.
    """
    if method not in get_args(Method):
        raise ConfigError(f"calibration method {method!r} is unknown; known are {', '.join(get_args(Method))}")
    seen: dict[str, tuple[float, float]] = {}
    join = _JOIN[method]
    n_images = 0

    def visit(key: str, value: Tensor) -> None:
        extremes = _quantiles(value) if method == "percentile" else _extremes(value)
        seen[key] = join(seen[key], extremes, n_images) if key in seen else extremes

    recorder = Recorder(trace(model), visit)
    with torch.no_grad():
        for batch in images:
            for pixels in _checked(batch):
                recorder.run(torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255)
                n_images += 1
    # The graph that is shipped eats the pixels themselves: 1 / 255 is folded into its first convolution.
    return Ranges({**seen, INPUT: (0.0, 255.0)}, method, n_images)


def _checked(batch: np.ndarray) -> np.ndarray:
    if batch.dtype != np.uint8 or batch.ndim != 4:
        raise ConfigError(f"calibration image is {batch.dtype} {batch.shape}; uint8 (N, H, W, C) is needed.")
    return np.ascontiguousarray(batch)


def _extremes(value: Tensor) -> tuple[float, float]:
    low, high = torch.aminmax(value)
    return float(low), float(high)


def _quantiles(value: Tensor) -> tuple[float, float]:
    flat = value.flatten()
    sample = flat[:: -(-flat.numel() // _SAMPLE)].numpy()
    if not np.isfinite(sample).all():
        return _extremes(value)  # for the message: a quantile would only say NaN
    low, high = np.percentile(sample, (100 - PERCENTILE, PERCENTILE))
    return float(low), float(high)


def _widen(old: tuple[float, float], new: tuple[float, float], _: int) -> tuple[float, float]:
    # Not min() and max(): they may drop a NaN, depending on its side.
    return float(np.minimum(old[0], new[0])), float(np.maximum(old[1], new[1]))


def _decay(old: tuple[float, float], new: tuple[float, float], _: int) -> tuple[float, float]:
    return old[0] + MOMENTUM * (new[0] - old[0]), old[1] + MOMENTUM * (new[1] - old[1])


def _average(old: tuple[float, float], new: tuple[float, float], n_before: int) -> tuple[float, float]:
    share = 1 / (n_before + 1)
    return old[0] + share * (new[0] - old[0]), old[1] + share * (new[1] - old[1])


_JOIN: dict[str, Callable[[tuple[float, float], tuple[float, float], int], tuple[float, float]]] = {
    "minmax": _widen,
    "moving_average": _decay,
    "percentile": _average,
}
