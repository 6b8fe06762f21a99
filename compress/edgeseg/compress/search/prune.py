"""Structured pruning: whole channels go, through skip concatenations, depthwise and transposed convolutions.

The dependency graph is torch-pruning's (Fang et al. 2023, arXiv:2301.12900); the pruned network is rebuilt from its
architecture JSON, so what is trained, stored and exported is an ordinary network of that shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from edgeseg.compress.search.importance import IMPORTANCE, Gates, copy_to_cut
from edgeseg.runtime.errors import ConfigError
from edgeseg.train.models import SegmentationNet, build_model


@dataclass(frozen=True)
class PruneConfig:
    """How much goes, and by what measure.

    Attributes:
        ratio: Share of every group's channels removed in the end, in (0, 1).
        rounds: Equal factors to get there; fine-tune between them.
        importance: A name of `IMPORTANCE`.
        round_to: Channel counts stay multiples of this.
    """

    ratio: float = 0.3
    rounds: int = 3
    importance: str = "group_l2"
    round_to: int = 8

    def __post_init__(self) -> None:
        if not 0.0 < self.ratio < 1.0:
            raise ConfigError(f"prune.ratio is {self.ratio}; set it between 0 and 1 (0.3 removes 30 %)")
        if self.rounds < 1:
            raise ConfigError(f"prune.rounds is {self.rounds}; set it to 1 or more")
        if self.importance not in IMPORTANCE:
            raise ConfigError(f"prune.importance is {self.importance!r}; known are {', '.join(IMPORTANCE)}")

    def kept_after(self, done: int) -> float:
        """Share of the original channels that stay after `done` rounds: equal factors, not equal slices."""
        return float((1.0 - self.ratio) ** (done / self.rounds))


def prune(
    model: SegmentationNet,
    target: dict[str, int],
    config: PruneConfig,
    size_px: tuple[int, int],
    gates: Gates | None = None,
) -> SegmentationNet:
    """Remove the least important channels until every convolution is at its target width.

    Args:
        model: One of `MODELS`; not changed.
        target: Wanted output channels by module path, as from `target_widths`; layers at or below it stay.
        config: Importance and rounding.
        size_px: (height, width) of the traced input [px].
        gates: From `find_gates`, for `taylor`.

    Returns:
        A new network in evaluation mode with the remaining weights, built from its own architecture JSON.

    Raises:
        ConfigError: If the network cannot be traced (names the reason), or lacks what the importance reads.
    """
    smaller = copy_to_cut(config.importance, model, gates)
    graph = dependency_graph(smaller, size_px)
    importance = IMPORTANCE[config.importance]()
    layers = dict(smaller.named_modules())
    for name, width in target.items():
        _narrow(graph, layers[name], width, importance)
    rebuilt = build_model(smaller.arch)
    rebuilt.load_state_dict(smaller.state_dict())
    return rebuilt.eval()


def dependency_graph(model: SegmentationNet, size_px: tuple[int, int]) -> Any:
    """torch-pruning's graph of which layers must shrink together.

    Raises:
        ConfigError: If the network cannot be traced (names the reason).
    """
    import torch_pruning as tp

    example = torch.zeros(1, int(model.arch["in_channels"]), *size_px)
    try:
        return tp.DependencyGraph().build_dependency(model, example_inputs=example)
    except (RuntimeError, ValueError, AttributeError, NotImplementedError, TypeError) as err:
        raise ConfigError(f"the network cannot be traced for pruning: {err}") from err


def _narrow(graph: Any, layer: Any, width: int, importance: Any) -> None:
    """Cut one layer, and all that must shrink with it, to `width` output channels.

    Layers joined by an addition are one group: the first of them cuts it, the others find themselves at their target.
    """
    have = int(layer.out_channels)
    if have <= width:
        return
    cut = graph.get_pruner_of_module(layer).prune_out_channels
    scores = importance(graph.get_pruning_group(layer, cut, idxs=list(range(have))))
    least = torch.argsort(scores)[: have - width].tolist()
    graph.get_pruning_group(layer, cut, idxs=sorted(least)).prune()


def target_widths(original: SegmentationNet, config: PruneConfig, done: int) -> dict[str, int]:
    """Output channels that every convolution should have after `done` rounds, from the unpruned network.

    Computed from the original, not from the round before, so that rounding does not add up. Depthwise layers have no
    width of their own: they follow what they read.
    """
    kept = config.kept_after(done)
    widths = {}
    for name, layer in original.named_modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)) and name != "head" and layer.groups == 1:
            channels = round(layer.out_channels * kept / config.round_to) * config.round_to
            widths[name] = min(layer.out_channels, max(config.round_to, channels))
    return widths
