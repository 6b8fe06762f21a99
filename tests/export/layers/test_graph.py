"""Layer graphs against whole networks: what ONNX Runtime makes of the parts is what it makes of the whole."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from edgeseg.compress.search.layers import layers_of
from edgeseg.compress.search.probe import Layer
from edgeseg.export.layers.graph import layer_onnx, layer_pair
from edgeseg.export.onnx.placement import u8s8_x86
from edgeseg.runtime.backends.ort import open_session
from edgeseg.runtime.errors import ExportError
from edgeseg.runtime.opening.selection import machine_kind

from ..conftest import quiet_options
from ..layer_cases import LAYERS

# What is left of an integer layer: one operator, and around those without an integer NHWC kernel what they need.
LEFT = {
    "resize": {"DequantizeLinear": 1, "Resize": 1, "QuantizeLinear": 1},
    "concat": {"QLinearConcat": 1},
    "add": {"QLinearAdd": 1},
}
x86 = pytest.mark.skipif(not machine_kind().startswith("x86"), reason="u8s8 is fused on x86")


def opened(content: bytes, folder: Path) -> tuple[onnxruntime.InferenceSession, onnx.ModelProto]:
    """A session, and the graph it really runs."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return session, onnx.load(folder / "optimised.onnx")


def operators(model: onnx.ModelProto) -> Counter[tuple[Any, ...]]:
    """Operators by name, kernel shape and what decides on the kernel that runs."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer if len(tensor.dims) == 4}
    found: Counter[tuple[Any, ...]] = Counter()
    for node in model.graph.node:
        attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        kernel = next((shapes[name] for name in node.input if name in shapes), None)
        chosen = tuple(str(attributes.get(name)) for name in ("channels_last", "group", "strides", "pads"))
        found[node.op_type, kernel, chosen if "Conv" in node.op_type else None] += 1
    return found


def kinds(model: onnx.ModelProto) -> dict[str, int]:
    return dict(Counter(node.op_type for node in model.graph.node))


def run(session: onnxruntime.InferenceSession) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    types = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}
    feed = {one.name: rng.integers(0, 255, one.shape).astype(types[one.type]) for one in session.get_inputs()}
    return session.run(None, feed)


def out_size(layer: Layer) -> tuple[int, int]:
    grow = layer.stride if layer.kind in ("transposed", "resize") else 1 / layer.stride
    return int(layer.height_px * grow), int(layer.width_px * grow)


@x86
@pytest.mark.parametrize("name", LAYERS)
def test_an_integer_layer_is_its_operator_and_nothing_else(name: str, tmp_path: Path) -> None:
    layer = LAYERS[name]
    session, model = opened(layer_onnx(layer, "int8", copies=3), tmp_path)
    if name not in ("transposed", "pool"):
        assert kinds(model) == {op: 3 * n for op, n in LEFT.get(name, {"QLinearConv": 1}).items()}
    outputs = run(session)
    assert len(outputs) == 3
    rows, columns = out_size(layer)
    grouped = 4 if name == "stem" else 1  # columns of the stem's result are channels still; the bytes lie the same
    assert {one.shape for one in outputs} == {(1, rows, columns // grouped, grouped * layer.out_channels)}


@x86
def test_no_integer_layer_without_weights_is_merged_with_its_twin(tmp_path: Path) -> None:
    """Equal operators on equal inputs would be computed once."""
    for name in ("pool", "transposed"):
        _, few = opened(layer_onnx(LAYERS[name], "int8"), tmp_path)
        _, many = opened(layer_onnx(LAYERS[name], "int8", copies=3), tmp_path)
        assert kinds(many) == {op: 3 * n for op, n in kinds(few).items()}


@x86
@pytest.mark.parametrize("name", ["student", "student_rgb"])
def test_the_parts_are_the_whole_network(name: str, onnx_files, tmp_path: Path) -> None:
    """Kernel shapes, layouts and the floats around a resize: all equal; the whole has two layout changes more."""
    exported = onnx_files(name)
    whole = onnx.load(exported.int8)
    for dim, size in zip(whole.graph.input[0].type.tensor_type.shape.dim, (1, 64, 64), strict=False):
        dim.dim_value = size
    _, optimised = opened(whole.SerializeToString(), tmp_path)
    parts: Counter[tuple[Any, ...]] = Counter()
    for layer in layers_of(exported.model, (64, 64), u8s8_x86().depthwise_step):
        parts += operators(opened(layer_onnx(layer, "int8"), tmp_path)[1])
    missing, extra = operators(optimised) - parts, parts - operators(optimised)
    assert not extra
    assert {op for op, *_ in missing} <= {"Reshape", "Transpose"}
    assert sum(missing.values()) <= 5


@pytest.mark.parametrize("name", LAYERS)
def test_a_float_pair_differs_by_the_layer_alone(name: str, tmp_path: Path) -> None:
    few_file, many_file = layer_pair(LAYERS[name], "fp32", 2)
    _, few = opened(few_file, tmp_path)
    session, many = opened(many_file, tmp_path)
    floats = {
        "resize": ("Resize", "Upsample"),
        "concat": ("Concat",),
        "add": ("Add",),
        "transposed": ("ConvTranspose",),
    }
    fewer, more = (sum(kinds(model).get(one, 0) for one in floats.get(name, ("Conv",))) for model in (few, many))
    assert more - fewer == (0 if name == "pool" else 2)
    if name not in ("add", "concat"):  # whose idle copies keep a pixel of each operand
        assert kinds(many)["MaxPool"] - kinds(few)["MaxPool"] == (2 if name == "pool" else 0)
    assert len(run(session)) == 3


def test_a_layer_computes_what_it_says() -> None:
    """One integer convolution by hand: the numbers are made up, the arithmetic is not."""
    layer = Layer("conv", 4, 8, 1, 1, 4, 4)
    content = layer_onnx(layer, "int8")
    session = open_session(content, quiet_options())
    x = np.random.default_rng(0).integers(0, 256, (1, 4, 4, 4), dtype=np.uint8)
    (found,) = session.run(None, {"x0": x})
    weights = next(
        onnx.numpy_helper.to_array(t) for t in onnx.load_from_string(content).graph.initializer if t.name == "w0.int"
    )
    real = (x.astype(np.float64) - 3) * 0.05 @ (weights[:, :, 0, 0].T * 0.01)
    expected = np.clip(np.rint(real / 0.05) + 3, 0, 255)
    assert np.abs(found - expected).max() <= 1


def test_another_precision_is_refused() -> None:
    with pytest.raises(ExportError, match="int4"):
        layer_onnx(LAYERS["conv"], "int4")
