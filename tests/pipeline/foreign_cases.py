"""Foreign networks of two or three classes whose masks are known, to be given any ending, input and fault."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgeseg.runtime.data.dataset import DataSet, open_dataset

HEIGHT, WIDTH = 32, 48
# Gray values of the classes: a network that tells them apart is a line through each.
LEVELS = {2: (60, 170), 3: (50, 120, 200)}
Node = tuple[Any, ...]  # operator, inputs, outputs, attributes


def write_data(root: Path, classes: int = 2, *, inverted: bool = False, color: str = "gray") -> DataSet:
    """Soft discs on a dark ground; the mask is known from the gray value."""
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    rng, rows = np.random.default_rng(0), ["stem,split"]
    for index in range(24):
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        for label in range(1, classes):
            cv2.circle(mask, (int(rng.integers(8, WIDTH - 8)), int(rng.integers(8, HEIGHT - 8))), 6, label, -1)
        image = np.asarray(LEVELS[classes], np.uint8)[mask]
        image = np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(root / "images" / f"{index:02}.png"), image if color == "gray" else cv2.merge([image] * 3))
        cv2.imwrite(str(root / "masks" / f"{index:02}.png"), 1 - mask if inverted else mask)
        rows.append(f"{index:02},{'train' if index < 12 else 'val' if index < 20 else 'test'}")
    (root / "meta.csv").write_text("\n".join(rows) + "\n")
    names = ["background", *(f"kind{label}" for label in range(1, classes))]
    (root / "dataset.yaml").write_text(f"name: discs\nclasses: [{', '.join(names)}]\ncolor: {color}\n")
    return open_dataset(root)


def head(planes: int, channels: int = 1) -> tuple[list[Node], dict[str, np.ndarray]]:
    """From `chw` to the logits `l`: a mean of 3x3 pixels, and a line a class. One plane is positive where bright."""
    mean = np.full((4, channels, 3, 3), 1 / 9 / channels, np.float32)
    mean[1:] *= np.random.default_rng(1).uniform(0.2, 0.8, (3, 1, 1, 1))
    levels = np.asarray(LEVELS[max(planes, 2)]) / 255
    slopes, shifts = 20 * levels, -10 * levels**2  # the nearest level has the highest score
    if planes == 1:
        slopes, shifts = slopes[1:] - slopes[:1], shifts[1:] - shifts[:1]
    lines = np.zeros((planes, 4, 1, 1), np.float32)
    lines[:, 0, 0, 0] = slopes
    nodes: list[Node] = [
        ("Conv", ["chw", "w1"], ["a"], {"pads": [1] * 4}),
        ("Relu", ["a"], ["b"], {}),
        ("Conv", ["b", "w2", "b2"], ["l"], {}),
    ]
    return nodes, {"w1": mean, "w2": lines, "b2": shifts.astype(np.float32)}


def truth(image: np.ndarray, planes: int) -> np.ndarray:
    """The mask that the network should make of a gray image: the class of the nearest level of the local mean."""
    mean = cv2.blur(image.astype(np.float32), (3, 3), borderType=cv2.BORDER_CONSTANT)
    levels = np.asarray(LEVELS[max(planes, 2)], np.float32)
    return np.abs(mean[..., None] - levels).argmin(axis=2).astype(np.uint8)


def write_net(
    path: Path,
    tail: Sequence[Node] = (),
    constants: dict[str, Any] | None = None,
    *,
    planes: int = 1,
    channels: int = 1,
    shape: Sequence[Any] = ("N", 1, HEIGHT, WIDTH),
    before: Sequence[Node] = (),
    outputs: Sequence[str] = ("out",),
    dtype: int = TensorProto.FLOAT,
    opset: int = 17,
    domains: Sequence[str] = (),
) -> onnx.ModelProto:
    """Write a network: `before` from `x` to `chw`, the head to `l`, `tail` from there to the outputs."""
    middle, weights = head(planes, channels)
    steps = [*(before or [("Identity", ["x"], ["chw"], {})]), *middle, *(tail or [("Identity", ["l"], ["out"], {})])]
    nodes = [helper.make_node(kind, reads, makes, **more) for kind, reads, makes, more in steps]
    arrays = weights | {name: np.asarray(value) for name, value in (constants or {}).items()}
    graph = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    model.opset_import.extend(helper.make_opsetid(domain, 1) for domain in domains)
    model = onnx.shape_inference.infer_shapes(model) if not domains else model
    for output in model.graph.output:
        if not output.type.WhichOneof("value"):
            output.type.CopyFrom(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    path.write_bytes(model.SerializeToString())
    return model
