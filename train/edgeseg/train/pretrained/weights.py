"""Weights to start from, wherever they come from: a published package, a checkpoint of ours, a safetensors file."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load, save

from edgeseg.runtime.engine_message import condensed
from edgeseg.runtime.errors import EdgesegError, TrainingError
from edgeseg.runtime.files.atomic import write_bytes, write_json
from edgeseg.runtime.files.file_kind import kind_of
from edgeseg.runtime.files.user_cache import cache_folder
from edgeseg.train.checkpoint import DESCRIPTION, WEIGHTS, checkpoint_meta, load_checkpoint
from edgeseg.train.models import SegmentationNet
from edgeseg.train.models.lite_encoder import BN_EPS, PUBLISHED_BN_EPS, encoder_arch
from edgeseg.train.pretrained.convert import TIMM_SCALE, Tensors, convert_published, for_channels, scale_stem
from edgeseg.train.pretrained.published import CONVERSION, PUBLISHED, Origin, published_file

_ENCODER = ("conv_stem.", "bn1.", "blocks.")  # whose tensors are taken whole or not at all


@dataclass(frozen=True)
class Weights:
    """Tensors under our names, for inputs in [0, 1].

    Attributes:
        tensors: By name.
        bn_eps: What the batch norms of their encoder add to a variance.
    """

    tensors: Tensors
    bn_eps: float


def published_weights(name: str) -> Weights:
    """An encoder with published ImageNet weights, for RGB: converted once, then read from the user's cache.

    Args:
        name: Of `PUBLISHED`.

    Raises:
        ConfigError: If the package is needed and not installed, or its file is not the published one.
    """
    published = PUBLISHED[name]
    identity = {"source_sha256": published.sha256, "conversion": str(CONVERSION)}
    cached = cache_folder("weights") / f"{name}.safetensors"
    if (tensors := _read_cached(cached, identity)) is None:
        state = torch.load(published_file(published), map_location="cpu", weights_only=True)
        stages = encoder_arch(width=published.width, depth=published.depth)["blocks"]
        tensors = convert_published(state, [len(stage) for stage in stages])
        _write_cached(cached, tensors, identity)
    return Weights(tensors, PUBLISHED_BN_EPS)


def file_weights(path: Path) -> Weights:
    """The weights of the user's own file.

    Args:
        path: The folder of a checkpoint, or a safetensors file: with a classifier it is timm's `tf_efficientnet_lite*`,
            which reads 2 x - 1; without one its network reads [0, 1], as ours do.

    Raises:
        TrainingError: If it cannot be read.
    """
    if path.name == WEIGHTS and (path.parent / DESCRIPTION).is_file():
        path = path.parent
    if path.is_dir():
        model, _ = load_checkpoint(path)
        return Weights(dict(model.state_dict()), float(model.arch.get("bn_eps", BN_EPS)))
    if (kind := kind_of(path)).key != "safetensors":
        remedy = kind.remedy or "name a checkpoint's folder, or a file with timm's parameter names"
        raise TrainingError(f"{path} is no readable safetensors file: it is {kind.words}; {remedy}")
    try:
        tensors = load(path.read_bytes())
    except Exception as err:  # safetensors raises its own, undocumented types
        raise TrainingError(f"{path} is no readable safetensors file: {condensed(err)}") from err
    if "conv_head.weight" not in tensors:
        return Weights(tensors, BN_EPS)
    if missing := {"conv_stem.weight", "bn1.running_mean"} - tensors.keys():
        raise TrainingError(f"{path} lacks {', '.join(sorted(missing))}; name a file with a whole network's tensors")
    return Weights(scale_stem(tensors, *TIMM_SCALE), PUBLISHED_BN_EPS)


def file_origin(path: Path, sha256: str) -> Origin:
    """What is told of a network that started from the user's own file; a checkpoint hands on what it started from.

    Args:
        path: As for `file_weights`.
        sha256: Of its content.

    Raises:
        TrainingError: If it is a folder without a whole checkpoint.
    """
    start = checkpoint_meta(path).get("start") if path.is_dir() else None
    if not start:
        return Origin(path.name, sha256)
    source = f"a checkpoint of the user's, which started from {start['name']} ({start['source']})"
    return Origin(path.name, sha256, start["licence"], start["trained_on"], source)


def take_weights(model: SegmentationNet, weights: Weights) -> int:
    """Take over the weights of same name and shape; the others stay as they are.

    Args:
        model: With an EfficientNet-Lite encoder, changed in place.
        weights: An RGB stem is summed over its input for gray networks.

    Returns:
        Number of tensors taken.

    Raises:
        TrainingError: If the stem or no block fits, or a tensor of the encoder has another shape than the network's:
            what is then left fresh would be told as taken.
    """
    own = model.state_dict()
    tensors = for_channels(weights.tensors, int(model.arch["in_channels"]))
    fitting = {name: tensor for name, tensor in tensors.items() if name in own and own[name].shape == tensor.shape}
    if "conv_stem.weight" not in fitting or not any(name.startswith("blocks.") for name in fitting):
        raise TrainingError(
            f"no encoder among the {len(tensors)} tensors to start from fits this network; are they an "
            "EfficientNet-Lite's, under timm's names, for images of this colour?"
        )
    _refuse_parts(own, tensors)
    with torch.no_grad():
        model.load_state_dict(fitting, strict=False)
    return len(fitting)


def _refuse_parts(own: Mapping[str, torch.Tensor], tensors: Mapping[str, torch.Tensor]) -> None:
    misfits = [
        name
        for name, tensor in tensors.items()
        if name.startswith(_ENCODER) and name in own and own[name].shape != tensor.shape
    ]
    if misfits:
        name = misfits[0]
        raise TrainingError(
            f"{len(misfits)} tensors to start from have another shape than this network's, such as {name}: "
            f"{tuple(tensors[name].shape)} where {tuple(own[name].shape)} are needed. Name weights that are in every "
            "layer at least as wide; those of a pruned network are not"
        )


def _read_cached(path: Path, identity: Mapping[str, str]) -> Tensors | None:
    """The tensors of a cache file; None if it is missing, of another source, or damaged in any byte."""
    try:
        content, said = path.read_bytes(), json.loads(path.with_suffix(".json").read_bytes())
    except (OSError, ValueError):
        return None
    return load(content) if said == {**identity, "sha256": hashlib.sha256(content).hexdigest()} else None


def _write_cached(path: Path, tensors: Tensors, identity: Mapping[str, str]) -> None:
    """Write the tensors, and last what they are, so that a half-written pair is recognised."""
    content = save({name: tensor.contiguous() for name, tensor in tensors.items()})
    with contextlib.suppress(EdgesegError, OSError):  # a home that cannot be written to: converting is quick
        write_bytes(path, content)
        write_json(path.with_suffix(".json"), {**identity, "sha256": hashlib.sha256(content).hexdigest()})
