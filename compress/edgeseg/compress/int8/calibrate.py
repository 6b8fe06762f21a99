"""Ranges of every activation, derived by one of five methods from one pass over training images.

One collection feeds every INT8 writer. All methods read the same statistics (`compress.int8.statistics`), so that
trying all of them costs one pass and a little arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from torch import nn

from edgeseg.compress.calibration.set import MIN_IMAGES
from edgeseg.compress.graph.trace import INPUT
from edgeseg.compress.int8.statistics import Activation, Statistics, collect_statistics
from edgeseg.compress.int8.thresholds import entropy, least_squares, percentile
from edgeseg.runtime.errors import ConfigError, ExportError

Method = Literal["minmax", "moving_average", "percentile", "entropy", "mse"]
METHODS: tuple[Method, ...] = get_args(Method)  # the simplest first

MOMENTUM = 0.1  # weight of the newest image in `moving_average`
# Below this width a range holds nothing but rounding noise: such a tensor is read as zeros.
MIN_WIDTH = 1e-6


@dataclass(frozen=True)
class Ranges:
    """Smallest and largest value of every operation's result.

    Attributes:
        values: (min, max) by the operation's name in `trace`; `image` is fixed at (0, 255), raw pixels.
        method: How they were derived from the values seen.
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
    """Run a network over calibration images and derive the range of every operation.

    Args:
        model: As for `collect_statistics`.
        images: As for `collect_statistics`.
        method: As for `derive_ranges`.

    Raises:
        ConfigError: If there are fewer than 8 images, one is not uint8 (N, H, W, C), or the method is unknown.
        ExportError: If a value is NaN or infinite, or the network cannot be traced.
    """
    _check(method)
    found = collect_statistics(model, images, histograms=method not in ("minmax", "moving_average"))
    return derive_ranges(found, method)


def derive_ranges(statistics: Statistics, method: Method) -> Ranges:
    """Ranges from what was seen.

    Args:
        statistics: Of the folded network, with histograms unless `method` is one of the first two.
        method: `minmax` keeps the extremes of all images; `moving_average` averages the extremes per image with
            momentum; `percentile` cuts 0.01 % of the values off at either end; `entropy` loses the least information
            (KL divergence, as in TensorRT); `mse` has the least squared error.

    Raises:
        ConfigError: If there were fewer than 8 images, or the method is unknown.
        ExportError: If a value was NaN or infinite.
    """
    _check(method)
    derive = _DERIVE[method]
    values = {key: derive(activation) for key, activation in statistics.activations.items()}
    # The graph that is shipped eats the pixels themselves: 1 / 255 is folded into its first convolution.
    return Ranges({**values, INPUT: (0.0, 255.0)}, method, statistics.n_images)


def _check(method: str) -> None:
    if method not in METHODS:
        raise ConfigError(f"calibration method {method!r} is unknown; known are {', '.join(METHODS)}")


def _widest(activation: Activation) -> tuple[float, float]:
    return activation.seen


def _moving_average(activation: Activation) -> tuple[float, float]:
    low, high = activation.extremes[0]
    for next_low, next_high in activation.extremes[1:]:
        low, high = low + MOMENTUM * (next_low - low), high + MOMENTUM * (next_high - high)
    return low, high


def _from_histogram(cut: Callable[..., tuple[float, float]]) -> Callable[[Activation], tuple[float, float]]:
    def derive(activation: Activation) -> tuple[float, float]:
        seen = activation.seen
        # A range of nothing but rounding noise has nothing to cut; one that is not finite is refused by `Ranges`.
        if not all(map(math.isfinite, seen)) or max(map(abs, seen)) < MIN_WIDTH:
            return seen
        return cut(activation.histogram, seen)

    return derive


_DERIVE: dict[str, Callable[[Activation], tuple[float, float]]] = {
    "minmax": _widest,
    "moving_average": _moving_average,
    "percentile": _from_histogram(percentile),
    "entropy": _from_histogram(entropy),
    "mse": _from_histogram(least_squares),
}
