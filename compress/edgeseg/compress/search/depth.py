"""Whole parts that go: residual blocks, the first and the last encoder stages, the last decoder level.

At edge sizes the full-resolution layers cost most of the time and the deep ones most of the bytes; channels alone
reach neither end.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
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
        first: How many of the first encoder stages, 0 or 1: the stem then feeds the stage that halves the size.
    """

    blocks: frozenset[tuple[int, int]] = frozenset()
    stages: int = 0
    levels: int = 0
    first: int = 0

    def __bool__(self) -> bool:
        return bool(self.blocks or self.stages or self.levels or self.first)


def further_cuts(arch: Arch, done: Depth) -> list[Depth]:
    """Every way to take one part more; none for an architecture without such parts (a U-Net)."""
    if arch["name"] != "efficient_unet":
        return []
    cuts = []
    for number in _stages_left(arch, done):
        stage = arch["blocks"][number]
        left = [place for place in range(len(stage)) if (number, place) not in done.blocks]
        cuts += [
            replace(done, blocks=done.blocks | {(number, place)})
            for place in left
            if stage[place]["skip"] and len(left) > 1
        ]
    if len(_stages_left(arch, done)) > FEWEST_STAGES:
        fewer = replace(done, stages=done.stages + 1)
        cuts += [fewer] if levels_left(arch, fewer) > 0 else []
        cuts += [replace(done, first=1)] if not done.first and _first_can_go(arch) else []
    coarser = replace(done, levels=done.levels + 1)
    if output_stride(arch, coarser) <= COARSEST_OUTPUT and levels_left(arch, coarser) > 0:
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
    if arch["name"] != "efficient_unet" or levels_left(arch, depth) < 1 or not _stages_left(arch, depth):
        raise ConfigError(f"{depth} leaves no decoder in this {arch['name']}; take fewer parts")
    if depth.first > 1 or (depth.first and not _first_can_go(arch)):
        raise ConfigError(f"{depth}: only a first stage before one that halves the size can go; keep it")
    kept = _kept_blocks(arch, depth)
    changed["blocks"] = [[changed["blocks"][s][b] for b in places] for s, places in kept.items()]
    halvings = _lost_halvings(arch, depth)
    changed["decoder"] = changed["decoder"][halvings : len(changed["decoder"]) - depth.levels]
    return changed


def shallower(model: SegmentationNet, depth: Depth, seed: int = 0) -> SegmentationNet:
    """The network without the parts of `depth`, with every weight that still has its place.

    A residual block leaves the identity, so everything else stays exact. Where a stage or level goes, the layers behind
    it read other features: the first `reduce`, the expansion behind the stem, the last `merge` or the `head` (each with
    its batch norm) start anew and have to be trained.

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
    anew = _starting_anew(arch, depth)
    for name, tensor in model.state_dict().items():
        new = rename(name)
        if new and not new.startswith(anew):
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
            if place not in kept.get(stage, ()):
                return ""
            parts[1:3] = str(stage - depth.first), str(kept[stage].index(place))
        elif parts[0] == "decoder":
            level = int(parts[1]) - halvings
            if not 0 <= level < levels:
                return ""
            parts[1] = str(level)
        return ".".join(parts)

    return rename


def parts_gone(arch: Arch, smaller: Arch) -> Depth:
    """By how many parts of each kind a cut network is shallower; of the blocks of a stage the last with a skip.

    Args:
        arch: Before the cut.
        smaller: After it; widths may differ.
    """
    if arch["name"] != "efficient_unet":
        return Depth()
    first = int(smaller["blocks"][0][0]["expand"] and not arch["blocks"][0][0]["expand"])
    stages = len(arch["blocks"]) - first - len(smaller["blocks"])
    gone = Depth(stages=stages, first=first)
    blocks: set[tuple[int, int]] = set()
    for number, left in zip(_stages_left(arch, gone), smaller["blocks"], strict=True):
        stage = arch["blocks"][number]
        skips = [place for place, block in enumerate(stage) if block["skip"]]
        blocks |= {(number, place) for place in skips[len(skips) - (len(stage) - len(left)) :]}
    levels = levels_left(arch, gone) - len(smaller["decoder"])
    return Depth(frozenset(blocks), stages, levels, first)


def levels_left(arch: Arch, depth: Depth) -> int:
    """Decoder levels that would be left."""
    return len(arch["decoder"]) - _lost_halvings(arch, depth) - depth.levels


def output_stride(arch: Arch, depth: Depth) -> int:
    """Input pixels per logit that would be left."""
    halvings = 1 + sum(stage[0]["stride"] == 2 for stage in arch["blocks"])
    return int(2 ** (halvings - len(arch["decoder"]) + depth.levels))


def _lost_halvings(arch: Arch, depth: Depth) -> int:
    """Halvings of the size that go with the last stages; each takes the decoder level that undoes it."""
    gone = arch["blocks"][len(arch["blocks"]) - depth.stages :]
    return sum(stage[0]["stride"] == 2 for stage in gone)


def _stages_left(arch: Arch, depth: Depth) -> range:
    """Numbers of the stages that stay."""
    return range(depth.first, len(arch["blocks"]) - depth.stages)


def _first_can_go(arch: Arch) -> bool:
    """Whether the stage behind the first halves the size: it has no skip, so the stem's width fits it."""
    first, second = arch["blocks"][0][0], arch["blocks"][1][0]
    return bool(first["stride"] == 1 and second["stride"] == 2)


def _kept_blocks(arch: Arch, depth: Depth) -> dict[int, list[int]]:
    """Positions of the blocks that stay, by number of the stage."""
    kept = {}
    for number in _stages_left(arch, depth):
        stage = arch["blocks"][number]
        wrong = [place for place in range(len(stage)) if (number, place) in depth.blocks and not stage[place]["skip"]]
        if wrong:
            raise ConfigError(
                f"block {wrong[0]} of stage {number} has no skip, so nothing can stand in for it; keep it"
            )
        kept[number] = [place for place in range(len(stage)) if (number, place) not in depth.blocks]
        if not kept[number]:
            raise ConfigError(f"stage {number} would be left without a block; keep one")
    return kept


def _starting_anew(arch: Arch, depth: Depth) -> tuple[str, ...]:
    """Beginnings of the names of parameters whose layer reads another input than before."""
    anew: list[str] = []
    if depth.stages:
        anew += ["decoder.0.reduce.", "decoder.0.bn."]
    if depth.first:
        anew += ["blocks.0.0.conv_pw.", "blocks.0.0.bn1."]
        # Only a level that ends at 1/2 joins what the first stage made.
        anew += [f"decoder.{levels_left(arch, depth) - 1}.merge."] if output_stride(arch, depth) == 2 else []
    if depth.levels:
        anew += ["head."]
    return tuple(anew)
