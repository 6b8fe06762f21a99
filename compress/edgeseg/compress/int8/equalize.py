"""Cross-layer equalization: channels scaled between two convolutions so that 8 bit serve all of them equally well.

`act(W1 x + b1)` read by `W2` equals `S act(W1 x / S + b1 / S)` for any positive S per channel, where the activation
scales with its input. Kernels have a scale per output channel here, so the producer's kernel has nothing to gain; what
shares one scale is the activation between the two (all its channels) and each row of the reader's kernel (its input
channels). A channel's precision in both is made equal: S = sqrt(activation share / kernel share), Nagel's equation 11
with the activation's range in the place of the producer's kernel. Before a depthwise convolution, whose channels each
have a scale of their own, the activation alone counts.

ReLU6 scales with its input only below 6. A channel is therefore scaled only if calibration never saw it within a factor
`HEADROOM` of the limit, and only so far that this stays true; all others keep S = 1. The function is then the same for
every image on which no channel exceeds `HEADROOM` times what calibration saw.

Reference:
    Nagel et al. 2019, arXiv:1906.04721, section 4.1 and appendix A.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from edgeseg.compress.graph.kinds import is_depthwise
from edgeseg.compress.graph.pairs import Conv, Pair, find_pairs
from edgeseg.compress.int8.histogram import Floats
from edgeseg.compress.int8.statistics import Statistics

HEADROOM = 1.5
MAX_FACTOR = 16.0  # a channel that is nearly dead is not blown up without end
_ROUNDS = 10  # the reader's row ranges change with S, and S with them


@dataclass(frozen=True)
class Equalized:
    """What was done.

    Attributes:
        model: The equalized copy, with the same module paths.
        scaled: By `first -> second`: how many channels were scaled, and of how many.
        left_out: Why each other convolution begins no pair, by its path.
    """

    model: nn.Module
    scaled: dict[str, tuple[int, int]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def n_scaled(self) -> int:
        """Channels scaled in all."""
        return sum(count for count, _ in self.scaled.values())


def equalize(model: nn.Module, statistics: Statistics) -> Equalized:
    """Equalize every pair of convolutions that allows it.

    Args:
        model: A folded network. Not modified.
        statistics: Of this network over the calibration images.

    Raises:
        ExportError: If the network cannot be traced, or the statistics are of another one.
    """
    equalized = copy.deepcopy(model)
    pairs, left_out = find_pairs(equalized)
    modules = dict(equalized.named_modules())
    scaled: dict[str, tuple[int, int]] = {}
    for pair in pairs:
        first, second = modules[pair.first], modules[pair.second]
        assert isinstance(first, Conv) and isinstance(second, Conv)
        factors = _factors(pair, second, statistics)
        _apply(first, second, torch.from_numpy(factors))
        scaled[f"{pair.first} -> {pair.second}"] = (int((factors != 1).sum()), len(factors))
    return Equalized(equalized, scaled, left_out)


def _factors(pair: Pair, second: Conv, statistics: Statistics) -> Floats:
    """S of every channel, float64 (C,)."""
    before, between = statistics.of(pair.first), statistics.of(pair.between)
    ranges = np.maximum(np.abs(between.channel_low), np.abs(between.channel_high))
    least, free = _freedom(before.channel_high, pair.limit)
    rows = _rows(second)
    free &= (ranges > 0) & (rows.max(axis=0) > 0)
    factors = np.ones(len(ranges))
    if not free.any():
        return factors
    for _ in range(_ROUNDS):
        shares = ranges / factors / (ranges / factors).max()
        if is_depthwise(second):
            step = shares
        else:
            scaled = rows * factors
            own = scaled / np.maximum(scaled.max(axis=1, keepdims=True), 1e-30)
            step = np.sqrt(shares / np.maximum(own.max(axis=0), 1e-30))
        wanted = np.clip(factors * step, np.maximum(least, 1 / MAX_FACTOR), MAX_FACTOR)
        factors = np.where(free, wanted, 1.0)
    return factors


def _freedom(high: Floats, limit: float | None) -> tuple[Floats, np.ndarray]:
    """The least S that keeps each channel clear of the limit, and which channels may be scaled at all."""
    if limit is None:
        return np.zeros(len(high)), np.ones(len(high), bool)
    least = np.maximum(high, 0) * HEADROOM / limit
    return least, least <= 1


def _rows(conv: Conv) -> Floats:
    """Largest weight by output and input channel, float64 (O, I); (1, C) for a depthwise kernel."""
    largest = conv.weight.detach().abs().flatten(2).amax(dim=2).double().numpy()  # (O, I), (I, O) or (C, 1)
    turned = is_depthwise(conv) or isinstance(conv, nn.ConvTranspose2d)
    result: Floats = largest.T if turned else largest
    return result


@torch.no_grad()
def _apply(first: Conv, second: Conv, factors: Tensor) -> None:
    """Divide the producer's output channels by S, multiply the reader's input channels with it."""
    made = -1 if isinstance(first, nn.ConvTranspose2d) else 0
    read = 0 if is_depthwise(second) or isinstance(second, nn.ConvTranspose2d) else 1
    shape = (1, -1, 1, 1) if made == -1 else (-1, 1, 1, 1)
    first.weight.copy_(first.weight.double() / factors.view(shape))
    if first.bias is not None:
        first.bias.copy_(first.bias.double() / factors)
    second.weight.copy_(second.weight.double() * factors.view((-1, 1, 1, 1) if read == 0 else (1, -1, 1, 1)))
