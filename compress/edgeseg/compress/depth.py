"""Whole parts that go: residual blocks, the last encoder stages, the last decoder level.

At edge sizes the full-resolution layers cost most of the time and the deep ones most of the bytes; channels alone
reach neither end.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from edgeseg.runtime.errors import ConfigError
from edgeseg.train.models import SegmentationNet, build_model

COARSEST_OUTPUT = 4  # input pixels per logit; coarser masks lose what a small defect is made of
FEWEST_STAGES = 3

Arch = dict[str, Any]


@dataclass(frozen=True)
class Depth:
    """What goes, in the numbering of the network it is taken from.

    Attributes:
        blocks: Residual blocks as (stage, position in the stage).
        stages: How many of the last encoder stages.
        levels: How many of the last decoder levels; one makes output stride 2 to 4.
    """

    blocks: frozenset[tuple[int, int]] = frozenset()
    stages: int = 0
    levels: int = 0

    def __bool__(self) -> bool:
        return bool(self.blocks or self.stages or self.levels)


def further_cuts(arch: Arch, done: Depth) -> list[Depth]:
    """Every way to take one part more; none for an architecture without such parts (a flat U-Net)."""
    if arch["name"] != "efficient_unet":
        return []
    stages: list[list[dict[str, Any]]] = arch["blocks"][: len(arch["blocks"]) - done.stages]
    cuts = []
    for number, stage in enumerate(stages):
        left = [place for place in range(len(stage)) if (number, place) not in done.blocks]
        cuts += [
            Depth(done.blocks | {(number, place)}, done.stages, done.levels)
            for place in left
            if stage[place]["skip"] and len(left) > 1
        ]
    fewer = Depth(done.blocks, done.stages + 1, done.levels)
    if len(stages) > FEWEST_STAGES and levels_left(arch, fewer) > 0:
        cuts.append(fewer)
    coarser = Depth(done.blocks, done.stages, done.levels + 1)
    if _output_stride(arch, coarser) <= COARSEST_OUTPUT and levels_left(arch, coarser) > 0:
        cuts.append(coarser)
    return cuts


def shallower_arch(arch: Arch, depth: Depth) -> Arch:
    """The architecture without the parts of `depth`; `arch` is not changed.

    Raises:
        ConfigError: If a part is not there, or no decoder would be left.
    """
    changed = copy.deepcopy(arch)
    if not depth:
        return changed
    if arch["name"] != "efficient_unet" or levels_left(arch, depth) < 1 or depth.stages >= len(arch["blocks"]):
        raise ConfigError(f"{depth} leaves no decoder in this {arch['name']}; take fewer parts")
    kept = _kept_blocks(arch, depth)
    changed["blocks"] = [[changed["blocks"][s][b] for b in places] for s, places in enumerate(kept)]
    halvings = _lost_halvings(arch, depth)
    changed["decoder"] = changed["decoder"][halvings : len(changed["decoder"]) - depth.levels]
    return changed


def shallower(model: SegmentationNet, depth: Depth, seed: int = 0) -> SegmentationNet:
    """The network without the parts of `depth`, with every weight that still has its place.

    A residual block leaves the identity, so everything else stays exact. Where a stage or level goes, the layer behind
    it reads other features: the first `reduce` (and its batch norm) or the `head` start anew and have to be trained.

    Args:
        model: An EfficientUNet; not changed.
        depth: What goes.
        seed: Of weights that start anew.

    Returns:
        A new network in evaluation mode.

    Raises:
        ConfigError: If a part is not there.
    """
    arch = model.arch
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        smaller = build_model(shallower_arch(arch, depth))
    rename, state = renaming(arch, depth), smaller.state_dict()
    for name, tensor in model.state_dict().items():
        new = rename(name)
        if new and not _reads_other(depth, new):
            state[new] = tensor.clone()
    smaller.load_state_dict(state)
    return smaller.eval()


def renaming(arch: Arch, depth: Depth) -> Callable[[str], str]:
    """A function from a module's or parameter's path before to its path after, or "" where it is gone."""
    kept, halvings = _kept_blocks(arch, depth), _lost_halvings(arch, depth)
    levels = levels_left(arch, depth)

    def rename(name: str) -> str:
        parts = name.split(".")
        if parts[0] == "blocks":
            stage, place = int(parts[1]), int(parts[2])
            if stage >= len(kept) or place not in kept[stage]:
                return ""
            parts[2] = str(kept[stage].index(place))
        elif parts[0] == "decoder":
            level = int(parts[1]) - halvings
            if not 0 <= level < levels:
                return ""
            parts[1] = str(level)
        return ".".join(parts)

    return rename


def levels_left(arch: Arch, depth: Depth) -> int:
    """Decoder levels that would be left."""
    return len(arch["decoder"]) - _lost_halvings(arch, depth) - depth.levels


def _output_stride(arch: Arch, depth: Depth) -> int:
    halvings = 1 + sum(stage[0]["stride"] == 2 for stage in arch["blocks"])
    return int(2 ** (halvings - len(arch["decoder"]) + depth.levels))


def _lost_halvings(arch: Arch, depth: Depth) -> int:
    """Halvings of the size that go with the last stages; each takes the decoder level that undoes it."""
    gone = arch["blocks"][len(arch["blocks"]) - depth.stages :]
    return sum(stage[0]["stride"] == 2 for stage in gone)


def _kept_blocks(arch: Arch, depth: Depth) -> list[list[int]]:
    kept = []
    for number, stage in enumerate(arch["blocks"][: len(arch["blocks"]) - depth.stages]):
        wrong = [place for place in range(len(stage)) if (number, place) in depth.blocks and not stage[place]["skip"]]
        if wrong:
            raise ConfigError(
                f"block {wrong[0]} of stage {number} has no skip, so nothing can stand in for it; keep it"
            )
        kept.append([place for place in range(len(stage)) if (number, place) not in depth.blocks])
        if not kept[-1]:
            raise ConfigError(f"stage {number} would be left without a block; keep one")
    return kept


def _reads_other(depth: Depth, name: str) -> bool:
    """Whether a parameter belongs to a layer whose input is another one than before."""
    if depth.stages and name.startswith(("decoder.0.reduce.", "decoder.0.bn.")):
        return True
    return bool(depth.levels) and name.startswith("head.")
