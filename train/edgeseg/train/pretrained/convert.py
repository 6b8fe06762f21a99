"""From the names and the input scale of published weights to those of our encoder.

Published names number the blocks through and speak of `_expand_conv`, `_depthwise_conv`, `_project_conv`; ours are
timm's. Two differences stay. At stride 2 TensorFlow pads an even input more below and to the right, ours on all sides
alike: each such layer sees its input one pixel further up and left than in its training, which fine-tuning makes up
for. And the rim of the stem's input is padded with mid gray there, with black here. Of an input of odd size, away from
the rim, the features are equal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from edgeseg.runtime.errors import TrainingError

Tensors = dict[str, Tensor]

# The published networks read (pixel - 127) / 128, timm's `tf_efficientnet_lite*` 2 x - 1 with x = pixel / 255.
PUBLISHED_SCALE = (255.0 / 128.0, -127.0 / 128.0)
TIMM_SCALE = (2.0, -1.0)

_BLOCK = re.compile(r"_blocks\.(\d+)\.(\w+)\.(\w+)")
_EXPANDING = {
    **{"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"},
    **{"_project_conv": "conv_pwl", "_bn2": "bn3"},
}
_PLAIN = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_STEM = {"_conv_stem": "conv_stem", "_bn0": "bn1"}


def convert_published(state: Mapping[str, Tensor], repeats: list[int]) -> Tensors:
    """The encoder's tensors under our names, for inputs in [0, 1].

    Args:
        state: Of a published file; the classifier behind the last block is left out, and so are batch counts.
        repeats: Blocks of each stage.

    Returns:
        New tensors for an RGB network.

    Raises:
        TrainingError: If a name is none of the published networks'.
    """
    places = [(stage, place) for stage, count in enumerate(repeats) for place in range(count)]
    converted = {new: tensor for name, tensor in state.items() if (new := _new_name(name, places, state))}
    return scale_stem(converted, *PUBLISHED_SCALE)


def scale_stem(tensors: Mapping[str, Tensor], factor: float, shift: float) -> Tensors:
    """Fold `factor * x + shift`, which a network was trained to read, into its stem, so that it reads x itself.

    conv(factor x + shift) = factor conv(x) + shift sum(weight): the first goes into the weight, the second, one number
    a channel, into the mean that the batch norm takes off.
    """
    weight = tensors["conv_stem.weight"].double()
    mean = tensors["bn1.running_mean"].double() - shift * weight.sum(dim=(1, 2, 3))
    return {**tensors, "conv_stem.weight": (factor * weight).float(), "bn1.running_mean": mean.float()}


def _new_name(name: str, places: list[tuple[int, int]], state: Mapping[str, Tensor]) -> str | None:
    layer, _, kind = name.rpartition(".")
    if kind == "num_batches_tracked" or layer in ("_conv_head", "_bn1", "_fc"):
        return None
    if layer in _STEM:
        return f"{_STEM[layer]}.{kind}"
    block = _BLOCK.fullmatch(name)
    if block is not None and int(block[1]) < len(places):
        layers = _EXPANDING if f"_blocks.{block[1]}._expand_conv.weight" in state else _PLAIN
        if block[2] in layers:
            stage, place = places[int(block[1])]
            return f"blocks.{stage}.{place}.{layers[block[2]]}.{kind}"
    raise TrainingError(f"published weights hold {name!r}, which no EfficientNet-Lite of this depth has")


def for_channels(tensors: Mapping[str, Tensor], in_channels: int) -> Tensors:
    """The same weights for gray images: an RGB stem is summed, as gray is the same in all three."""
    stem = tensors.get("conv_stem.weight")
    if stem is None or in_channels != 1 or stem.shape[1] == 1:
        return dict(tensors)
    return {**tensors, "conv_stem.weight": torch.sum(stem, dim=1, keepdim=True)}
