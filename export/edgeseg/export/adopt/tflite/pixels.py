"""A foreign TensorFlow Lite graph made one that our runtime runs: pixels in, scores out."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgeseg.export.adopt.feeding import Feeding
from edgeseg.export.adopt.scores import Foreign, Scores
from edgeseg.export.adopt.tflite.edit import Edit
from edgeseg.export.adopt.tflite.network import TfliteNetwork, quantised
from edgeseg.export.adopt.tflite.words import scale_of
from edgeseg.export.tflite import flatbuffer
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.spec.model_spec import Decision, ModelSpec

_TYPE = schema.TensorType
_INTEGERS = {_TYPE.INT8: np.int8, _TYPE.UINT8: np.uint8}
_FARTHEST = 30.0  # a probability behind it is 1 in 64 bits


def with_pixels(network: TfliteNetwork, foreign: Foreign, scores: Scores, spec: ModelSpec) -> tuple[bytes, ModelSpec]:
    """The file that takes pixels, (1, H, W, C), and returns four axes of scores; and its spec.

    An integer input that means what pixels mean is left as it is, so that nothing is computed in front of it.

    Args:
        network: The file.
        foreign: How it was looked at.
        scores: What was found.
        spec: From `spec_of`.

    Raises:
        ConfigError: If the threshold of one plane is out of the reach of a probability.
    """
    edit = Edit.of(network.model)
    edit.keep(network.index(scores.ending.scores))
    geometry = spec.input.geometry
    assert geometry.height_px and geometry.width_px
    shape = (1, geometry.height_px, geometry.width_px, spec.input.channels)
    dtype = _enter(edit, network, foreign, shape)
    output = _leave(edit, network, scores)
    tensor = edit.graph.tensors[output]
    its = spec.output
    if (affine := scale_of(tensor)) is not None and tensor.type in _INTEGERS:
        kind: Any = np.dtype(_INTEGERS[tensor.type]).name
        its = replace(its, dtype=kind, scale=affine[0], zero_point=affine[1])
    decision = _decision(scores.threshold, foreign.file.name)
    spec = replace(
        spec, backend="litert", precision=network.precision, output=its, decision=decision, input_dtype=dtype
    )
    return flatbuffer.write(edit.model), spec


def check_range(network: TfliteNetwork, name: str, feeding: Feeding, file: str) -> None:
    """An integer input was quantised for the values it is fed.

    Raises:
        ConfigError: If it was for others: the preprocessing is another one.
    """
    tensor = network.tensor(name)
    affine = scale_of(tensor)
    if affine is None or tensor.type not in _INTEGERS:
        return
    scale, zero = affine
    limits = np.iinfo(_INTEGERS[tensor.type])
    low, high = (limits.min - zero) * scale, (limits.max - zero) * scale
    factor, shift = feeding.affine
    least, most = float(shift.min()) + 0.0, float((255 * factor + shift).max())
    shared = min(high, most) - max(low, least)
    if shared < _SHARED * (max(high, most) - min(low, least)):
        raise ConfigError(
            f"{file}: its input {name} is quantised for values {low:.3g} to {high:.3g}, and {feeding.words} is "
            f"{least:.3g} to {most:.3g}. Say with --scale, --mean and --std what it was trained on"
            + (", such as --mean 0.5 --std 0.5" if low < 0 else ", such as --scale 1" if high > 100 else "")
        )


_SHARED = 0.7  # of the range: calibration images that lack black or white leave it shorter


def _enter(edit: Edit, network: TfliteNetwork, foreign: Foreign, shape: tuple[int, ...]) -> Literal["uint8", "int8"]:
    """Put the arithmetic in front, and pixels at its beginning; their type."""
    entry = network.index(foreign.entry.name)
    tensor = edit.graph.tensors[entry] = _shaped(edit.graph.tensors[entry], shape, foreign.entry.layout)
    first = foreign.entry.layout == "NCHW"
    plain = foreign.feeding.dtype == "uint8" or _means_pixels(tensor, foreign.feeding)
    kind = tensor.type if plain else _TYPE.UINT8
    if plain and not first:
        edit.graph.inputs = [entry]
        return "int8" if kind == _TYPE.INT8 else "uint8"
    pixels = edit.tensor("edgeseg_pixels", shape, kind, tensor.quantization if plain else None)
    edit.graph.inputs = [pixels]
    steps: list[tuple[str, np.ndarray | None]] = [] if plain else [("CAST", None)]
    if first:
        steps.append(("TRANSPOSE", np.asarray([0, 3, 1, 2], np.int32)))
    if not plain:
        steps += _affine(foreign.feeding, first)
        steps += [("QUANTIZE", None)] if tensor.type in _INTEGERS else []
    at, now = pixels, shape
    for place, (step, constant) in enumerate(steps):
        now = tuple(now[axis] for axis in (0, 3, 1, 2)) if step == "TRANSPOSE" else now
        own = kind if plain else _TYPE.FLOAT32
        last = place == len(steps) - 1
        made = entry if last else edit.tensor(f"edgeseg_{step.lower()}", now, own)
        more = [] if constant is None else [edit.constant(f"edgeseg_{step.lower()}_by", constant)]
        edit.in_front(step, [at, *more], made)
        at = made
    return "int8" if kind == _TYPE.INT8 else "uint8"


def _affine(feeding: Feeding, channels_first: bool) -> list[tuple[str, np.ndarray | None]]:
    shape = (1, -1, 1, 1) if channels_first else (1, 1, 1, -1)
    steps: list[tuple[str, np.ndarray | None]] = []
    for kind, values, neutral in zip(("MUL", "ADD"), feeding.affine, (1, 0), strict=True):
        if (values != neutral).any():
            steps.append((kind, values.astype(np.float32).reshape(shape)))
    return steps


def _means_pixels(tensor: Any, feeding: Feeding) -> bool:
    """Whether an integer input holds pixels (or pixels - 128), give or take one level."""
    affine = scale_of(tensor)
    if affine is None or tensor.type not in _INTEGERS:
        return False
    kind = _INTEGERS[tensor.type]
    factor, shift = feeding.affine
    levels = np.arange(256, dtype=np.float32)[:, None]
    held = quantised(levels * factor + shift, affine, kind).astype(np.int64)
    return bool(np.abs(held - (levels.astype(np.int64) + np.iinfo(kind).min)).max() <= 1)


def _shaped(tensor: Any, shape: tuple[int, ...], layout: str) -> Any:
    own = schema.TensorT()
    own.__dict__.update(tensor.__dict__)
    own.shape = list(shape) if layout == "NHWC" else [shape[axis] for axis in (0, 3, 1, 2)]
    own.shapeSignature = None
    return own


def _leave(edit: Edit, network: TfliteNetwork, scores: Scores) -> int:
    """Make the scores the output, in four axes, as floats or 8-bit integers; their index."""
    index = network.index(scores.ending.scores)
    tensor = edit.graph.tensors[index]
    shape = np.expand_dims(scores.values, scores.missing_axes).shape if scores.missing_axes else scores.values.shape
    if tensor.type not in (_TYPE.FLOAT32, *_INTEGERS):
        made = edit.tensor("edgeseg_real", scores.values.shape, _TYPE.FLOAT32)
        edit.behind("DEQUANTIZE", [index], made)
        index, tensor = made, edit.graph.tensors[made]
    if scores.missing_axes:
        made = edit.tensor("edgeseg_scores", shape, tensor.type, tensor.quantization)
        edit.behind("RESHAPE", [index, edit.constant("edgeseg_shape", np.asarray(shape, np.int32))], made)
        index = made
    edit.graph.outputs = [index]
    return index


def _decision(threshold: float, file: str) -> Decision:
    if abs(threshold) > _FARTHEST:
        raise ConfigError(
            f"{file}: its scores are foreground above {threshold:.6g}, which is no logit. Name the tensor in front of "
            "that: --output TENSOR"
        )
    return Decision(1 / (1 + math.exp(-threshold)))
