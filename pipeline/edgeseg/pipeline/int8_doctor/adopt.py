"""Anybody's ONNX file made one that our runtime runs: raw pixels in, scores out, so that all tools apply to it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper, version_converter

from edgeseg.runtime.dataset import DataSet
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.input_spec import Geometry, InputSpec
from edgeseg.runtime.model_spec import ModelSpec, OutputSpec

_PIXELS = "edgeseg_pixels"
_OPSET = 17  # what older files are raised to; Q/DQ per channel needs 13
_OLDEST = 13


@dataclass(frozen=True)
class Feeding:
    """What the file eats: (pixel * scale - mean) / std.

    Attributes:
        size_px: Height and width frames are scaled to, or None for the file's own fixed size.
        scale: Of raw pixels 0..255, such as 1 / 255.
        mean: One value, or one a channel.
        std: Likewise.
    """

    size_px: tuple[int, int] | None = None
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if not self.scale > 0 or any(not value > 0 for value in self.std):
            raise ConfigError(f"--scale is {self.scale}, --std {self.std}; both must be above 0")

    def apply(self, pixels: np.ndarray, layout: str) -> np.ndarray:
        """The tensor for the file itself, float32, from uint8 (N, H, W, C)."""
        mean, std = np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32)
        values = (pixels.astype(np.float32) * np.float32(self.scale) - mean) / std
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2) if layout == "NCHW" else values)


@dataclass(frozen=True)
class Adopted:
    """A checked foreign file.

    Attributes:
        model: Its graph, every node with a name, first output only.
        input_name: Its input.
        layout: Axes of its input.
        feeding: What it eats.
        spec: Of the same graph behind `with_pixels`.
    """

    model: onnx.ModelProto
    input_name: str
    layout: str
    feeding: Feeding
    spec: ModelSpec


def adopt(path: Path, data: DataSet, feeding: Feeding) -> Adopted:
    """Read a foreign file and find out how to run it.

    Raises:
        ConfigError: If it is no float segmentation network of one image input, or does not fit the data.
    """
    model = _load(path)
    initial = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in initial]
    if len(inputs) != 1 or inputs[0].type.tensor_type.elem_type != TensorProto.FLOAT:
        found = ", ".join(f"{one.name} ({_type_name(one)})" for one in inputs)
        raise ConfigError(f"{path.name} has the inputs {found}; one float32 image (N,C,H,W) or (N,H,W,C) is needed.")
    del model.graph.output[1:]  # further outputs (auxiliary heads) cost time and are not scored
    dims = [dim.dim_value if dim.HasField("dim_value") else None for dim in inputs[0].type.tensor_type.shape.dim]
    layout, channels = _layout(dims, path)
    size = _size(dims, layout, feeding, path)
    if any(len(values) not in (1, channels) for values in (feeding.mean, feeding.std)):
        raise ConfigError(f"--mean and --std need 1 or {channels} values for {path.name}, found {feeding}.")
    spec = _spec(model, inputs[0].name, layout, (*size, channels), data, path)
    return Adopted(model, inputs[0].name, layout, feeding, spec)


def with_pixels(model: onnx.ModelProto, adopted: Adopted) -> onnx.ModelProto:
    """The graph with what it eats computed inside: uint8 (1, H, W, C) in. The same few nodes for float and INT8."""
    geometry, channels = adopted.spec.input.geometry, adopted.spec.input.channels
    feeding, entry = adopted.feeding, adopted.input_name
    std, mean = (np.broadcast_to(np.asarray(values, np.float32), (channels,)) for values in (feeding.std, feeding.mean))
    constants = {"factor": np.float32(feeding.scale) / std, "shift": -mean / std}
    steps: list[tuple[str, list[str], dict[str, Any]]] = [("Cast", [], {"to": TensorProto.FLOAT})]
    if (constants["factor"] != 1).any():
        steps.append(("Mul", ["edgeseg_factor"], {}))
    if constants["shift"].any():
        steps.append(("Add", ["edgeseg_shift"], {}))
    if adopted.layout == "NCHW":
        steps.append(("Transpose", [], {"perm": [0, 3, 1, 2]}))
    nodes, name = [], _PIXELS
    for index, (kind, more, attributes) in enumerate(steps):
        made = entry if index == len(steps) - 1 else f"edgeseg_prepared_{index}"
        nodes.append(helper.make_node(kind, [name, *more], [made], f"edgeseg_{kind.lower()}", **attributes))
        name = made
    wrapped = onnx.ModelProto()
    wrapped.CopyFrom(model)
    graph = wrapped.graph
    kept = [node for node in graph.node]  # noqa: C416 - the container is cleared below
    del graph.node[:], graph.input[:]
    graph.node.extend([*nodes, *kept])
    shape = (1, geometry.height_px, geometry.width_px, channels)
    graph.input.append(helper.make_tensor_value_info(_PIXELS, TensorProto.UINT8, shape))
    graph.initializer.extend(
        numpy_helper.from_array(array.astype(np.float32), f"edgeseg_{key}") for key, array in constants.items()
    )
    return wrapped


def _load(path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except Exception as err:  # decoding foreign bytes fails in many ways
        raise ConfigError(f"{path} is no valid ONNX file ({str(err).splitlines()[0]}); export it again.") from err
    opset = next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), 0)
    if opset < _OLDEST:
        try:
            model = version_converter.convert_version(model, _OPSET)
        except Exception as err:
            raise ConfigError(
                f"{path.name} has opset {opset}, INT8 per channel needs {_OLDEST}, and raising it failed "
                f"({str(err).splitlines()[0]}). Export it with opset_version={_OPSET}."
            ) from err
    quantised = {node.op_type for node in model.graph.node} & {"QuantizeLinear", "QLinearConv", "ConvInteger"}
    if quantised:
        raise ConfigError(f"{path.name} is quantised already ({', '.join(sorted(quantised))}); give the float file.")
    taken = Counter(node.name for node in model.graph.node)
    for index, node in enumerate(model.graph.node):
        if not node.name or taken[node.name] > 1:
            node.name = f"{node.op_type}_{index}"
    return model


def _layout(dims: list[int | None], path: Path) -> tuple[str, int]:
    if len(dims) == 4 and dims[1] in (1, 3):
        return "NCHW", int(dims[1] or 0)
    if len(dims) == 4 and dims[3] in (1, 3):
        return "NHWC", int(dims[3] or 0)
    raise ConfigError(f"{path.name} takes {dims}; an image of 1 or 3 channels, (N,C,H,W) or (N,H,W,C), is needed.")


def _size(dims: list[int | None], layout: str, feeding: Feeding, path: Path) -> tuple[int, int]:
    own = (dims[2], dims[3]) if layout == "NCHW" else (dims[1], dims[2])
    if feeding.size_px is None:
        if own[0] is None or own[1] is None:
            raise ConfigError(f"{path.name} takes images of any size; give the one it runs at: --size HxW")
        return own[0], own[1]
    if any(mine not in (None, given) for mine, given in zip(own, feeding.size_px, strict=True)):
        raise ConfigError(f"{path.name} takes {own[0]}x{own[1]}, --size says {feeding.size_px}; leave --size out.")
    return feeding.size_px


def _spec(
    model: onnx.ModelProto, entry: str, layout: str, shape: tuple[int, int, int], data: DataSet, path: Path
) -> ModelSpec:
    """Run the graph once and read its output's axes off the result."""
    height, width, channels = shape
    feed = np.zeros((1, channels, height, width) if layout == "NCHW" else (1, height, width, channels), np.float32)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        scores = session.run(None, {entry: feed})[0]
    except Exception as err:
        raise ConfigError(
            f"ONNX Runtime cannot run {path.name} at {height}x{width}: {str(err).splitlines()[0][:300]}. "
            "Try another --size."
        ) from err
    planes = {len(data.classes)} | ({1} if len(data.classes) == 2 else set())
    if scores.ndim != 4 or scores.dtype != np.float32 or not planes & {scores.shape[1], scores.shape[3]}:
        raise ConfigError(
            f"{path.name} returns {scores.dtype} {scores.shape}; float32 logits (N,K,h,w) or (N,h,w,K) with "
            f"K = {sorted(planes)} (the classes of {data.name}) are needed."
        )
    out_layout = "NCHW" if scores.shape[1] in planes else "NHWC"
    count, rows, columns = scores.shape[1:] if out_layout == "NCHW" else (scores.shape[3], *scores.shape[1:3])
    stride = height // rows
    if stride < 1 or (rows * stride, columns * stride) != (height, width):
        raise ConfigError(f"{path.name} returns {rows}x{columns} scores for {height}x{width} px; no whole stride.")
    geometry = Geometry("resize", height, width, interpolation="linear")
    return ModelSpec(
        backend="onnxruntime",
        precision="fp32",
        input=InputSpec("gray" if channels == 1 else "rgb", geometry, stride, window=data.window),
        output=OutputSpec(
            "scores",
            stride,
            out_layout,  # type: ignore[arg-type]
            "float32",
            activation="sigmoid" if count == 1 else "softmax",
        ),
        classes=data.classes,
    )


def _type_name(value: onnx.ValueInfoProto) -> str:
    return TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower()
