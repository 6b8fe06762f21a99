"""Structured pruning: whole channels go, through skip concatenations, depthwise and transposed convolutions.

The dependency graph is torch-pruning's (Fang et al. 2023, arXiv:2301.12900); the pruned network is rebuilt from its
architecture JSON, so what is trained, stored and exported is an ordinary network of that shape.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from edgeseg.compress.search.importance import IMPORTANCE, Gates, copy_to_cut
from edgeseg.runtime.errors import ConfigError
from edgeseg.train.models import SegmentationNet, build_model

_STEP = 8  # channels; fewer make no kernel faster


def prune(
    model: SegmentationNet,
    target: dict[str, int],
    size_px: tuple[int, int],
    importance: str = "group_l2",
    gates: Gates | None = None,
) -> SegmentationNet:
    """Remove the least important channels until every convolution is at its target width.

    Args:
        model: One of `MODELS`; not changed.
        target: Wanted output channels by module path, as from `target_widths`; layers at or below it stay.
        size_px: (height, width) of the traced input [px].
        importance: A name of `IMPORTANCE`.
        gates: From `find_gates`, for `taylor`.

    Returns:
        A new network in evaluation mode with the remaining weights, built from its own architecture JSON.

    Raises:
        ConfigError: If the importance is unknown, or the network cannot be traced (names the reason) or lacks what
            the importance reads.
    """
    if importance not in IMPORTANCE:
        raise ConfigError(f"importance is {importance!r}; known are {', '.join(IMPORTANCE)}")
    smaller = copy_to_cut(importance, model, gates)
    graph = dependency_graph(smaller, size_px)
    scores = IMPORTANCE[importance]()
    layers = dict(smaller.named_modules())
    for name, width in target.items():
        _narrow(graph, layers[name], width, scores)
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


def target_widths(original: SegmentationNet, kept: float) -> dict[str, int]:
    """Output channels of every convolution where an equal share of each is kept, in multiples of 8.

    Depthwise layers have no width of their own: they follow what they read.
    """
    widths = {}
    for name, layer in original.named_modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)) and name != "head" and layer.groups == 1:
            channels = round(layer.out_channels * kept / _STEP) * _STEP
            widths[name] = min(layer.out_channels, max(_STEP, channels))
    return widths
