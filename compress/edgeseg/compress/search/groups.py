"""The groups of channels of a network that must shrink together, each with what its channels are worth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.compress.search.importance import COMPARABLE, IMPORTANCE, Gates, copy_to_cut
from edgeseg.compress.search.prune import dependency_graph
from edgeseg.train.models import SegmentationNet
from edgeseg.train.models.lite_encoder import InvertedResidual


@dataclass(frozen=True)
class Group:
    """Convolutions that have their output channels in common.

    Attributes:
        name: Module path of the first of them.
        members: Module paths of all of them, in network order.
        scores: Share of the group that each channel is worth, ascending: the order in which `prune` removes them.
        weight: What the whole group is worth.
        step: Widths stay multiples of this: 16 inside an inverted residual, whose depthwise layer ONNX Runtime's
            integer kernels take 16 channels at a time, else 8.
    """

    name: str
    members: tuple[str, ...]
    scores: tuple[float, ...]
    weight: float = 1.0
    step: int = 8

    @property
    def width(self) -> int:
        """Channels it has."""
        return len(self.scores)

    def lost(self, before: int, after: int) -> float:
        """Importance that goes when `before` of its channels become `after`.

        `weight * ln(kept before / kept after)`: a few channels cost their share, as a first-order estimate says, but a
        group that all else flows through gets ever dearer. A part that is taken out whole (`after` = 0) costs its
        share and no more, since its neighbours do without it.
        """
        kept = self._kept(before)
        return self.weight * (math.log(kept / self._kept(after)) if after else kept)

    def _kept(self, width: int) -> float:
        """Share of the group's importance that its best `width` channels hold."""
        return max(sum(self.scores[self.width - width :]), 1e-9)


def channel_groups(
    model: SegmentationNet, importance: str, size_px: tuple[int, int], seed: int = 0, gates: Gates | None = None
) -> tuple[Group, ...]:
    """Every group that can be cut, with the scores of its channels.

    Args:
        model: One of `MODELS`; not changed.
        importance: A name of `IMPORTANCE`. Where scores have no unit of their own a group weighs as many as it
            has members, so that halving a narrow layer costs as much as halving a wide one.
        size_px: (height, width) of the traced input [px].
        seed: Of `random`.
        gates: From `find_gates`, for `taylor`.

    Raises:
        ConfigError: If the network cannot be traced, or lacks what the importance reads.
    """
    twin = copy_to_cut(importance, model, gates)
    graph, scorer = dependency_graph(twin, size_px), IMPORTANCE[importance]()
    layers = dict(twin.named_modules())
    paths = {layer: path for path, layer in layers.items()}
    groups: list[Group] = []
    seen: set[str] = set()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for path, layer in layers.items():
            if path in seen or not _has_width(path, layer):
                continue
            cut = graph.get_pruner_of_module(layer).prune_out_channels
            found = graph.get_pruning_group(layer, cut, idxs=list(range(layer.out_channels)))
            members = _members(graph, found, paths, path)
            seen.update(members)
            scores = scorer(found).double()
            groups.append(_group(path, members, scores, importance, _step(path, layers)))
    return tuple(groups)


def _group(path: str, members: tuple[str, ...], scores: Tensor, importance: str, step: int) -> Group:
    total = float(scores.sum())
    shares = scores / total if total > 0 else torch.full_like(scores, 1.0 / len(scores))
    weight = total if importance in COMPARABLE else float(len(members))
    return Group(path, members, tuple(shares.sort().values.tolist()), weight, step)


def _has_width(path: str, layer: nn.Module) -> bool:
    """Whether a layer's output channels are its own: depthwise layers follow, the head's are the classes."""
    return isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)) and layer.groups == 1 and path != "head"


def _members(graph: Any, group: Any, paths: dict[nn.Module, str], root: str) -> tuple[str, ...]:
    """Paths of the convolutions whose output channels are all cut with the group's."""
    members = [root]
    for dependency, _ in group:
        layer = dependency.target.module
        path = paths.get(layer, "")
        cut = graph.is_out_channel_pruning_fn(dependency.handler)
        if cut and _has_width(path, layer) and path not in members:
            members.append(path)
    return tuple(members)


def _step(path: str, layers: dict[str, nn.Module]) -> int:
    parent, _, leaf = path.rpartition(".")
    return 16 if leaf == "conv_pw" and isinstance(layers[parent], InvertedResidual) else 8
