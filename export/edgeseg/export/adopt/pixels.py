"""A foreign graph made one that our runtime runs: uint8 pixels in, scores above or below zero out."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgeseg.export.adopt.adopted import Adopted

_PIXELS, _SCORES = "edgeseg_pixels", "edgeseg_scores"
_Step = tuple[str, list[str], dict[str, Any]]


def with_pixels(model: onnx.ModelProto, adopted: Adopted) -> onnx.ModelProto:
    """The graph with what it eats computed inside: uint8 (1, H, W, C) in. The same few nodes for float and INT8.

    One that takes such pixels already, as a step's own file does, gets no node.
    """
    wrapped = onnx.ModelProto()
    wrapped.CopyFrom(model)
    graph = wrapped.graph
    before, constants = _before(adopted)
    after, more = _after(adopted)
    pixels = _PIXELS if before else adopted.input_name
    nodes = [*_chained(before, pixels, adopted.input_name), *graph.node]
    nodes += _chained(after, graph.output[0].name, _SCORES)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:], graph.input[:]
    graph.node.extend(copies)
    geometry = adopted.spec.input.geometry
    shape = (1, geometry.height_px, geometry.width_px, adopted.spec.input.channels)
    graph.input.append(helper.make_tensor_value_info(pixels, TensorProto.UINT8, shape))
    if after:
        del graph.output[:]
        graph.output.append(helper.make_tensor_value_info(_SCORES, TensorProto.FLOAT, None))
    graph.initializer.extend(numpy_helper.from_array(one, f"edgeseg_{key}") for key, one in (constants | more).items())
    return wrapped


def _before(adopted: Adopted) -> tuple[list[_Step], dict[str, np.ndarray]]:
    """From pixels to what the network eats; transposed first, so that a channel's constant meets a whole plane."""
    feeding, first = adopted.feeding, adopted.layout == "NCHW"
    turned: list[_Step] = [("Transpose", [], {"perm": [0, 3, 1, 2]})] if first else []
    if feeding.dtype == "uint8":
        return turned, {}
    factor, shift = feeding.affine
    steps: list[_Step] = [("Cast", [], {"to": TensorProto.FLOAT}), *turned]
    constants = {}
    for kind, name, values, neutral in (("Mul", "factor", factor, 1), ("Add", "shift", shift, 0)):
        if (values != neutral).any():
            steps.append((kind, [f"edgeseg_{name}"], {}))
            constants[name] = values.reshape(-1, 1, 1) if first else values
    return steps, constants


def _after(adopted: Adopted) -> tuple[list[_Step], dict[str, np.ndarray]]:
    """From its scores to scores of four axes whose threshold is zero."""
    steps: list[_Step] = []
    constants: dict[str, np.ndarray] = {}
    if adopted.scores.missing_axes:
        steps.append(("Unsqueeze", ["edgeseg_axes"], {}))
        constants["axes"] = np.asarray(adopted.scores.missing_axes, np.int64)
    if adopted.scores.threshold:
        steps.append(("Sub", ["edgeseg_threshold"], {}))
        constants["threshold"] = np.float32(adopted.scores.threshold).reshape(1)
    return steps, constants


def _chained(steps: list[_Step], first: str, last: str) -> list[onnx.NodeProto]:
    nodes, name = [], first
    for index, (kind, more, attributes) in enumerate(steps):
        made = last if index == len(steps) - 1 else f"{last}_{kind.lower()}"
        nodes.append(helper.make_node(kind, [name, *more], [made], f"edgeseg_{kind.lower()}", **attributes))
        name = made
    return nodes
