"""Tiny models whose answer is known: class 0 below gray 85, class 1 up to 170, class 2 above, at half resolution."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeseg.export.pack import BundleInfo, VariantSource, pack
from edgeseg.runtime.spec.manifest import Geometry, InputSpec, ModelSpec, OutputSpec

CLASSES = ("dark", "middle", "bright")


def tiny_spec(**changes) -> ModelSpec:
    """The spec of `tiny_onnx` in its float form; `geometry`, `color` and `output` fields may be given flat."""
    geometry = changes.pop("geometry", Geometry("native"))
    color = changes.pop("color", "gray")
    stride_px = changes.pop("stride_px", 4)
    names = {"kind", "layout", "dtype", "scale", "zero_point", "activation"}
    output = {"kind": "scores", "layout": "NCHW", "dtype": "float32"}
    output |= {name: changes.pop(name) for name in names & changes.keys()}
    classes = ("good", "bright") if output.get("activation") == "sigmoid" else CLASSES
    fields = {"backend": "onnxruntime", "precision": "fp32", "dynamic": True, "classes": classes} | changes
    return ModelSpec(input=InputSpec(color, geometry, stride_px), output=OutputSpec(stride_px=2, **output), **fields)


def write_tiny_onnx(path: Path, spec: ModelSpec, shape: tuple[int | str, ...] | None = None) -> Path:
    """Write the ONNX file that a spec from `tiny_spec` describes."""
    types = {"float32": TensorProto.FLOAT, "uint8": TensorProto.UINT8, "int8": TensorProto.INT8}
    channels = spec.input.channels
    offset = 0.0 if spec.input_dtype == "uint8" else 128.0
    sigmoid = spec.output.activation == "sigmoid"
    slopes, biases = ([0.05], [-0.05 * 170]) if sigmoid else ([-0.05, 0.0, 0.05], [0.05 * 85, 0.0, -0.05 * 170])
    weight = np.repeat(np.array(slopes, np.float32)[:, None] / channels, channels, axis=1)[:, :, None, None]
    constants = {"offset": np.float32(offset), "w": weight, "b": np.array(biases, np.float32)}
    nodes = [
        helper.make_node("Cast", ["image"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["f", "offset"], ["g"]),
        helper.make_node("Transpose", ["g"], ["h"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["h"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["p", "w", "b"], ["s0"]),
    ]
    last = "s0"
    if spec.output.kind == "class_ids":
        nodes.append(helper.make_node("ArgMax", [last], ["a"], axis=1, keepdims=1))
        nodes.append(helper.make_node("Cast", ["a"], ["s1"], to=types[spec.output.dtype]))
        last = "s1"
    elif spec.output.dtype != "float32":
        constants["scale"] = np.float32(spec.output.scale)
        constants["zero"] = np.array(spec.output.zero_point, spec.output.dtype)
        nodes.append(helper.make_node("QuantizeLinear", [last, "scale", "zero"], ["s1"]))
        last = "s1"
    if spec.output.layout == "NHWC":
        nodes.append(helper.make_node("Transpose", [last], ["s2"], perm=[0, 2, 3, 1]))
        last = "s2"
    nodes.append(helper.make_node("Identity", [last], ["scores"]))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", types[spec.input_dtype], shape or ("n", "h", "w", channels))],
        [helper.make_tensor_value_info("scores", types[spec.output.dtype], (None, None, None, None))],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.fixture(scope="session")
def tiny_onnx(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Path, ModelSpec]]:
    """Give (path, spec) of a tiny ONNX model; takes the arguments of `tiny_spec`. Files are made once a session."""
    made: dict[ModelSpec, Path] = {}

    def make(**changes) -> tuple[Path, ModelSpec]:
        spec = tiny_spec(**changes)
        key = dataclasses.replace(
            spec, input=dataclasses.replace(spec.input, geometry=Geometry("native")), dynamic=True
        )
        if key not in made:
            path = tmp_path_factory.mktemp("tiny") / f"tiny{len(made)}.onnx"
            made[key] = write_tiny_onnx(path, spec)
        return made[key], spec

    return make


@pytest.fixture(scope="session")
def tiny_tflite(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ModelSpec]:
    """(path, spec) of the same model as a .tflite file of 64x64, converted once a session in a process of its own.

    EDGESEG_TINY_TFLITE names the file where it was made beforehand.
    """
    pytest.importorskip("ai_edge_litert")
    path = tmp_path_factory.mktemp("tiny") / "tiny.tflite"
    if made := os.environ.get("EDGESEG_TINY_TFLITE"):
        path = Path(made)
    elif importlib.util.find_spec("litert_torch") is None:
        pytest.skip("litert_torch, which converts the tiny model, is not installed; EDGESEG_TINY_TFLITE names no file")
    else:
        script = Path(__file__).parent / "tiny_tflite.py"
        done = subprocess.run([sys.executable, str(script), str(path)], capture_output=True, text=True, check=False)
        assert path.exists(), done.stderr[-2000:]
    spec = tiny_spec(
        backend="litert", layout="NHWC", dynamic=False, geometry=Geometry("resize", height_px=64, width_px=64)
    )
    return path, spec


@pytest.fixture
def stripes() -> np.ndarray:
    """A gray frame of 64x96 in three vertical bands of 32: 20, 120, 220."""
    return np.repeat(np.array([20, 120, 220], np.uint8), 32)[None].repeat(64, axis=0)


@pytest.fixture
def stripes_mask() -> np.ndarray:
    """The mask of `stripes`."""
    return np.repeat(np.array([0, 1, 2], np.uint8), 32)[None].repeat(64, axis=0)


@pytest.fixture(scope="session")
def tiny_bundle(tiny_onnx: Callable[..., tuple[Path, ModelSpec]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the tiny model in float and in uint8 scores, with two golden frames. Read only."""
    geometry = Geometry("resize", height_px=64, width_px=96)
    sources = []
    for name, changes in {
        "onnx-fp32": {},
        "onnx-int8-x86": {"dtype": "uint8", "scale": 0.1, "zero_point": 100, "precision": "int8"},
    }.items():
        path, spec = tiny_onnx(geometry=geometry, **changes)
        needs = ("vnni",) if name == "onnx-int8-x86" else ()
        sources.append(VariantSource(name, path, spec, {"val": {"dice_mean": 0.9}}, opset=17, needs=needs))
    frames = [np.random.default_rng(seed).integers(0, 256, (50, 60), np.uint8) for seed in (0, 1)]
    path = tmp_path_factory.mktemp("bundle") / "tiny.edgeseg"
    pack(path, BundleInfo("tiny", "1.0", "tests only", sources[0].spec.input), sources, frames)
    return path
