"""Weights of a wide encoder for a narrower one: its most important channels, by the groups that must shrink together.

A network starts from published weights of width 1.0 at any smaller width in this way; repeats of a stage that it lacks
are left out (behind each stands the skip), ones that the weights lack stay fresh.
"""

from __future__ import annotations

import copy
from typing import Any

import torch

from edgeseg.compress.search.prune import prune
from edgeseg.train.models import SegmentationNet, build_model
from edgeseg.train.pretrained.convert import for_channels
from edgeseg.train.pretrained.weights import Weights, take_weights

Arch = dict[str, Any]


def started_arch(arch: Arch, weights: Weights) -> Arch:
    """The architecture of a network that starts from weights: with their batch norms' epsilon and their skips.

    At a small width a stage's first block may be as wide as what it reads, and would add it, which it has not learnt.

    Args:
        arch: Of an EfficientUNet; not changed.
        weights: What it starts from.
    """
    changed = copy.deepcopy(arch) | {"bn_eps": weights.bn_eps}
    for stage in changed["blocks"]:
        stage[0]["skip"] = False
    return changed


def started_network(arch: Arch, weights: Weights) -> SegmentationNet:
    """A network of an architecture with the weights in its encoder, cut to its widths; all else is fresh.

    Args:
        arch: Of an EfficientUNet, or of a LiteUNet of the weights' own size.
        weights: What it starts from.

    Raises:
        TrainingError: If they do not fit.
    """
    arch = started_arch(arch, weights)
    model = build_model(arch)
    take_weights(model, narrowed(weights, arch))
    return model


def narrowed(weights: Weights, arch: Arch) -> Weights:
    """The weights at the widths of an architecture: themselves where nothing is narrower, else the encoder's alone.

    Args:
        weights: Of an EfficientNet-Lite encoder, for RGB or for the architecture's colour.
        arch: Of an EfficientUNet, from `started_arch`.

    Raises:
        ConfigError: If the network cannot be traced.
        TrainingError: If the weights are no such encoder's.
    """
    tensors = for_channels(weights.tensors, int(arch["in_channels"]))
    wide = _arch_of(tensors, arch)
    widths = _encoder_widths(arch)
    if all(width >= _encoder_widths(wide)[path] for path, width in widths.items()):
        return weights
    model = build_model(wide)
    take_weights(model, weights)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith(("decoder.", "head.")):
                parameter.zero_()  # fresh: it says nothing of which channels matter
    trace_px = (2 * int(model.stride), 2 * int(model.stride))
    state = prune(model, widths, trace_px, "group_l2").state_dict()
    kept = {name: tensor for name, tensor in state.items() if name in tensors and not name.startswith("decoder.")}
    return Weights({name: tensor for name, tensor in kept.items() if not name.startswith("head.")}, weights.bn_eps)


def _arch_of(tensors: dict[str, torch.Tensor], arch: Arch) -> Arch:
    """The architecture with the encoder's widths as the tensors have them."""
    wide = copy.deepcopy(arch)
    width = wide["stem"] = _width(tensors, "conv_stem", arch["stem"])
    for number, stage in enumerate(wide["blocks"]):
        for place, block in enumerate(stage):
            path = f"blocks.{number}.{place}"
            default = width if place else block["out"]
            block["mid"] = _width(tensors, f"{path}.conv_dw", 6 * width if block["expand"] else width)
            width = block["out"] = _width(tensors, f"{path}.{_last(block)}", default)
    return wide


def _width(tensors: dict[str, torch.Tensor], path: str, default: int) -> int:
    weight = tensors.get(f"{path}.weight")
    return default if weight is None else int(weight.shape[0])


def _encoder_widths(arch: Arch) -> dict[str, int]:
    """Output channels of the encoder's convolutions by module path; depthwise ones follow what they read."""
    widths = {"conv_stem": arch["stem"]}
    for number, stage in enumerate(arch["blocks"]):
        for place, block in enumerate(stage):
            if block["expand"]:
                widths[f"blocks.{number}.{place}.conv_pw"] = block["mid"]
            widths[f"blocks.{number}.{place}.{_last(block)}"] = block["out"]
    return widths


def _last(block: dict[str, Any]) -> str:
    return "conv_pwl" if block["expand"] else "conv_pw"
