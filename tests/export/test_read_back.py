"""Every kind of file reads back equal to its plan, and a file that was tampered with does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgeseg.compress.int8.plan import Affine, Plan
from edgeseg.export.bind import with_fused
from edgeseg.export.deploy_graph import DeployGraph
from edgeseg.export.onnx.placement import Placement, s8_tensorrt, u8s8_x86
from edgeseg.export.onnx.planned import plan_onnx
from edgeseg.export.onnx.qdq import write_int8_onnx
from edgeseg.export.onnx.read_back import check_int8_onnx
from edgeseg.export.read_back import Numbers, ReadBack, hold_against
from edgeseg.export.tflite import flatbuffer
from edgeseg.export.tflite.int8 import write_int8_tflite
from edgeseg.export.tflite.planned import plan_tflite
from edgeseg.export.tflite.read_back import check_int8_tflite
from edgeseg.export.trt.cache import read_trt_cache, write_trt_cache
from edgeseg.runtime.errors import ExportError

from .conftest import ARCHS, Exported

FLOAT_PATHS = [
    (),
    ("head", "blocks.0"),
    ("blocks.0.0.conv_dw",),  # TFLite fuses it with the ReLU after it
    ("blocks.1.0.act1", "add_1"),
    ("cat", "interpolate"),
]
PLACEMENTS = {"u8s8": u8s8_x86, "s8": s8_tensorrt}


def written_onnx(files: Exported, plan: Plan, path: Path, placement: Placement) -> ReadBack:
    write_int8_onnx(files.model, plan, files.fp32, files.fp32_spec, path, placement)
    return check_onnx(files, plan, path, placement)


def check_onnx(files: Exported, plan: Plan, path: Path, placement: Placement | None = None) -> ReadBack:
    return check_int8_onnx(files.model, plan, files.fp32, files.fp32_spec, path, placement)


def check_tflite(files: Exported, plan: Plan, path: Path) -> ReadBack:
    return check_int8_tflite(files.model, plan, files.fp32, files.fp32_spec, path)


@pytest.mark.parametrize("name", ARCHS)
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_onnx_files_read_back_equal(onnx_files, tmp_path, name, placement) -> None:
    files = onnx_files(name)
    read = written_onnx(files, files.plan, tmp_path / "m.onnx", PLACEMENTS[placement]())
    convolutions = sum("Conv" in node.op_type for node in onnx.load(files.fp32).graph.node)
    assert read.n_tensors > 0 and read.n_kernels <= convolutions
    if placement == "u8s8":
        assert read.n_float == 0 and read.n_kernels == convolutions


@pytest.mark.parametrize("paths", FLOAT_PATHS, ids=lambda paths: "+".join(paths) or "none")
def test_float_paths_are_read_back_in_every_kind_of_file(onnx_files, tflite_files, tmp_path, paths) -> None:
    files, lite = onnx_files("student"), tflite_files("student")
    plan = replace(files.plan, float_paths=paths)
    for name, placement in PLACEMENTS.items():
        written_onnx(files, plan, tmp_path / f"{name}.onnx", placement())
    write_int8_tflite(lite.model, plan, lite.fp32, lite.fp32_spec, tmp_path / "m.tflite")
    check_tflite(lite, plan, tmp_path / "m.tflite")
    if paths:  # and none of them is the file of a plan without them
        with pytest.raises(ExportError, match=r"u8s8.onnx is not the plan's: .* float; the plan says integers"):
            check_onnx(files, files.plan, tmp_path / "u8s8.onnx")
        with pytest.raises(ExportError, match=r"m.tflite is not the plan's: .* float; the plan says integers"):
            check_tflite(lite, files.plan, tmp_path / "m.tflite")


@pytest.mark.parametrize("paths", [(), ("blocks.0", "decoder.1")], ids=["plain", "float paths"])
def test_all_four_files_hold_the_numbers_of_one_plan(onnx_files, tflite_files, tmp_path, paths) -> None:
    """Not through the check, but operation by operation: scales as they lie in each file."""
    files, lite = onnx_files("student"), tflite_files("student")
    plan = replace(files.plan, float_paths=paths)
    origin = (files.model, plan, files.fp32, files.fp32_spec)
    x86 = pairs_by_operation(files, write_onnx(origin, tmp_path / "x86.onnx", u8s8_x86()), u8s8_x86())
    s8 = pairs_by_operation(files, write_onnx(origin, tmp_path / "s8.onnx", s8_tensorrt()), s8_tensorrt())
    write_int8_tflite(lite.model, plan, lite.fp32, lite.fp32_spec, tmp_path / "m.tflite")
    tflite = tflite_by_operation(lite, tmp_path / "m.tflite")
    keys = plan_onnx(*origin, s8_tensorrt()).keys
    cache = {keys[name][-1]: scale for name, scale in write_trt_cache(*origin, tmp_path / "c").scales.items()}
    assert cache == {keys[name][-1]: scale for name, scale in read_trt_cache(tmp_path / "c").scales.items()}
    both = set(x86) & set(tflite)
    assert len(both) > 15
    for key in both:
        assert tflite[key] == Affine(x86[key].scale, x86[key].zero_point - 128) == plan.s8(key)
    assert len(set(s8) & set(cache)) >= (3 if paths else 8)
    for key in set(s8) & set(cache):
        assert s8[key].scale == cache[key] == plan.s8_symmetric(key).scale


def write_onnx(origin, path: Path, placement: Placement) -> Path:
    write_int8_onnx(*origin, path, placement)
    return path


def pairs_by_operation(files: Exported, path: Path, placement: Placement) -> dict[str, Affine]:
    """Scale by operation of every Q node whose float tensor has an operation's name; inputs of `cat` left out."""
    graph = onnx.load(path).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    planned = plan_onnx(files.model, files.plan, files.fp32, files.fp32_spec, placement)
    keys = planned.keys
    joined = {name for node in graph.node if node.op_type == "Concat" for name in node.input}
    feeds = {n.input[0] for n in graph.node if n.output[0] in joined}
    found = {}
    for node in graph.node:
        name = node.input[0].removesuffix(".float")
        of_concat = node.output[0] in feeds or name in planned.joined
        if node.op_type == "QuantizeLinear" and name in keys and not of_concat:
            found[keys[name][-1]] = Affine(float(constants[node.input[1]]), int(constants[node.input[2]]))
    return found


def tflite_by_operation(files: Exported, path: Path) -> dict[str, Affine]:
    keys = plan_tflite(files.model, files.plan, files.fp32, files.fp32_spec).keys
    tensors = flatbuffer.read(path.read_bytes()).subgraphs[0].tensors
    found = {}
    for tensor in tensors:
        name, its = tensor.name.decode(), tensor.quantization
        if name in keys and its is not None and its.scale is not None and len(its.scale) == 1:
            found[keys[name][-1]] = Affine(float(its.scale[0]), int(its.zeroPoint[0]))
    return found


# -- tampering


@dataclass(frozen=True)
class Damage:
    """A change to the constants of an ONNX file, and what the check must say."""

    constant: Callable[[str], bool]
    change: Callable[[np.ndarray], np.ndarray]
    message: str


def nudged(array: np.ndarray) -> np.ndarray:
    """Every number one step of float32 up."""
    return np.nextafter(array, np.float32(np.inf))


def one_channel(array: np.ndarray) -> np.ndarray:
    changed = array.copy()
    changed[3] *= 1.001
    return changed


ONNX_DAMAGE = {
    "activation": Damage(lambda name: name.startswith("scale_"), nudged, "has scale .*; the plan says scale"),
    "zero point": Damage(
        lambda name: name.startswith("zero_"),
        lambda array: (array + 1).astype(array.dtype),
        "zero point .*; the plan says scale",
    ),
    "kernel": Damage(
        lambda name: name.endswith(".w_scale"), one_channel, "has the kernel scale .* in channel 3; the plan says"
    ),
    "kernel's zero point": Damage(lambda name: name.endswith(".w_zero"), lambda array: array + 1, "kernel scale nan"),
}


@pytest.mark.parametrize("damage", ONNX_DAMAGE)
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_a_changed_number_in_an_onnx_file_is_caught(onnx_files, tmp_path, placement, damage) -> None:
    files, its = onnx_files("student"), ONNX_DAMAGE[damage]
    path, rules = tmp_path / "m.onnx", PLACEMENTS[placement]()
    written_onnx(files, files.plan, path, rules)
    model = onnx.load(path)
    constant = next(tensor for tensor in model.graph.initializer if its.constant(tensor.name))
    changed = its.change(numpy_helper.to_array(constant))
    constant.CopyFrom(numpy_helper.from_array(changed, constant.name))
    onnx.save(model, path)
    with pytest.raises(ExportError, match=r"m.onnx is not the plan's: \S+ \(.+\) .*" + its.message):
        check_onnx(files, files.plan, path, rules)


def test_one_half_of_a_pair_with_another_scale_is_caught(onnx_files, tmp_path) -> None:
    files = onnx_files("student")
    model = onnx.load(files.int8)
    scales = sorted(tensor.name for tensor in model.graph.initializer if tensor.name.startswith("scale_"))
    node = next(n for n in model.graph.node if n.op_type == "DequantizeLinear" and n.input[1] == scales[0])
    node.input[1] = scales[1]
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ExportError, match=r"\(.+\) has scale .*; the plan says scale"):
        check_onnx(files, files.plan, tmp_path / "m.onnx")


def test_a_convolution_turned_float_is_caught(onnx_files, tmp_path) -> None:
    files = onnx_files("student")
    model = onnx.load(files.int8)
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    shape = next(numpy_helper.to_array(t).shape for t in model.graph.initializer if t.name.endswith(".w_int"))
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(shape, np.float32), "plain"))
    conv.input[1] = "plain"
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ExportError, match=r"\(conv_stem\) is computed in float; the plan says integers"):
        check_onnx(files, files.plan, tmp_path / "m.onnx")


def save_changed(files: Exported, path: Path, change: Callable) -> None:
    """Write the INT8 TFLite file with the quantisation of a tensor changed."""
    model = flatbuffer.read(files.int8.read_bytes())
    change(model.subgraphs[0].tensors)
    path.write_bytes(flatbuffer.write(model))


def first(tensors, wanted: Callable):
    return next(tensor for tensor in tensors if tensor.quantization is not None and wanted(tensor))


def test_a_changed_number_in_a_tflite_file_is_caught(tflite_files, tmp_path) -> None:
    files, path = tflite_files("student"), tmp_path / "m.tflite"
    check_tflite(files, files.plan, files.int8)

    def scale(tensors) -> None:
        its = first(tensors, lambda tensor: tensor.name == b"t60").quantization
        its.scale = nudged(np.asarray(its.scale, np.float32))

    def zero_point(tensors) -> None:
        its = first(tensors, lambda tensor: tensor.name == b"t60").quantization
        its.zeroPoint = np.asarray(its.zeroPoint) + 1

    def kernel(tensors) -> None:
        its = first(tensors, lambda tensor: tensor.name == b"c44").quantization
        its.scale = one_channel(np.asarray(its.scale, np.float32))

    for change, message in (
        (scale, r"t60 \(\S+\) has scale .*; the plan says scale"),
        (zero_point, r"t60 \(\S+\) has .*zero point .*; the plan says"),
        (kernel, r"has the kernel scale .* in channel 3; the plan says"),
    ):
        save_changed(files, path, change)
        with pytest.raises(ExportError, match=r"m.tflite is not the plan's: .*" + message):
            check_tflite(files, files.plan, path)


def test_the_file_of_another_plan_is_caught(onnx_files, tflite_files) -> None:
    """The same network calibrated on other images: ranges that differ by a few per cent."""
    for files, check in ((onnx_files("student"), check_onnx), (tflite_files("student"), check_tflite)):
        values = {key: (low, 1.01 * high) for key, (low, high) in files.plan.ranges.values.items()}
        other = replace(files.plan, ranges=replace(files.plan.ranges, values=values))
        with pytest.raises(ExportError, match="is not the plan's"):
            check(files, other, files.int8)


def test_a_file_that_cannot_be_read_is_refused(onnx_files, tflite_files, tmp_path) -> None:
    with pytest.raises(ExportError, match="cannot read none back"):
        check_onnx(onnx_files("student"), onnx_files("student").plan, tmp_path / "none")
    with pytest.raises(ExportError, match="cannot read none back"):
        check_tflite(tflite_files("student"), tflite_files("student").plan, tmp_path / "none")


def test_a_float_path_counts_for_what_it_is_fused_with(tflite_files, tmp_path) -> None:
    """TFLite computes a convolution and its ReLU as one; named alone, the convolution must still be float."""
    files = tflite_files("student")
    plan = replace(files.plan, float_paths=("blocks.1.0.conv_dw",))
    write_int8_tflite(files.model, plan, files.fp32, files.fp32_spec, tmp_path / "m.tflite")
    read, before = check_tflite(files, plan, tmp_path / "m.tflite"), check_tflite(files, files.plan, files.int8)
    assert (read.n_float, read.n_kernels) == (before.n_float + 1, before.n_kernels - 1)
    keys = {"t": ("blocks.1.0.act2",), "scores": ("head",)}
    fused = with_fused(DeployGraph(files.model), keys)
    assert "blocks.1.0.conv_dw" in fused["t"] and "blocks.1.0.act2" in fused["t"]


def test_numbers_that_are_missing_are_no_match() -> None:
    planned = Numbers({"a": frozenset([Affine(1.0, 0)])}, {"a": True}, {"a": np.ones(2, np.float32)})
    keys = {"a": ("conv",)}
    assert hold_against("f", planned, planned, keys) == ReadBack(1, 1, 0)
    with pytest.raises(ExportError, match=r"f is not the plan's: a \(conv\) is computed in nothing the file has"):
        hold_against("f", Numbers({}, {}, {}), planned, keys)
    with pytest.raises(ExportError, match=r"a \(conv\) has no kernel scales; the plan says 2"):
        hold_against("f", replace(planned, kernels={}), planned, keys)
