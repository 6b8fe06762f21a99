"""The typed FP16 file: what FP16 cannot hold stays in FP32, between casts that are named, and nothing else is added."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper
from torch import nn

from edgeseg.compress.int8.calibrate import Ranges
from edgeseg.compress.int8.plan import Plan
from edgeseg.export.onnx.export import export_onnx, quiet_session
from edgeseg.export.onnx.fp16 import Typed, float_tensors, write_fp16_onnx
from edgeseg.export.parity import parity
from edgeseg.runtime.errors import ExportError

from ..conftest import Exported, classes_of, frames, network, planned, spec_of

NETWORKS = ["student", "student_stride_8", "unet_transposed", "lite_unet"]


def write(files: Exported, path: Path, plan: Plan | None = None) -> Typed:
    return write_fp16_onnx(files.model, plan or files.plan, files.fp32, files.fp32_spec, path)[1]


def with_range(plan: Plan, key: str, low: float, high: float) -> Plan:
    return replace(plan, ranges=Ranges({**plan.ranges.values, key: (low, high)}, "minmax", 8))


def kinds(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_operator_is_fp16_and_the_ends_alone_are_cast(onnx_files, tmp_path, name) -> None:
    files, path = onnx_files(name), tmp_path / "fp16.onnx"
    spec, typed = write_fp16_onnx(files.model, files.plan, files.fp32, files.fp32_spec, path)
    assert (spec.precision, spec.output, spec.input_dtype) == ("fp16", files.fp32_spec.output, "uint8")
    written = onnx.load(path)
    ends = [one.type.tensor_type.elem_type for one in (*written.graph.input, *written.graph.output)]
    assert ends == [TensorProto.UINT8, TensorProto.FLOAT]
    casts = [node.name for node in written.graph.node if node.op_type == "Cast"]
    assert typed.casts == tuple(casts) and len(casts) == 2 and not typed.fp32
    assert kinds(path).count("Transpose") == kinds(files.fp32).count("Transpose") == (files.input.channels > 1)
    assert len(kinds(path)) == len(kinds(files.fp32)) + 1
    types = float_tensors(written)
    assert {name for name, kind in types.items() if kind == TensorProto.FLOAT} == {written.graph.output[0].name}
    assert path.stat().st_size < 0.65 * files.fp32.stat().st_size
    onnx.checker.check_model(written, full_check=True)


@pytest.mark.parametrize("name", NETWORKS)
def test_it_answers_like_the_network(onnx_files, tmp_path, name) -> None:
    files, path = onnx_files(name), tmp_path / "fp16.onnx"
    spec, _ = write_fp16_onnx(files.model, files.plan, files.fp32, files.fp32_spec, path)
    images = [image[..., 0] if image.shape[2] == 1 else image for image in frames(2, files.input.channels, seed=5)]
    found = parity(files.model, path, spec, images)
    assert found.max_logit_error < 0.02 * found.largest_logit


def scores_of(path: Path, image: np.ndarray) -> np.ndarray:
    (found,) = quiet_session(onnx.load(path)).run(None, {"image": image})
    return found


@pytest.mark.slow
def test_what_overflows_stays_in_fp32_with_all_that_touches_it_or_the_scores_would_be_ruined(tmp_path) -> None:
    """A network that answers as before, but whose second tensor is 60,000 times as large."""
    model, source, path = network("unet_transposed"), tmp_path / "fp32.onnx", tmp_path / "fp16.onnx"
    norm = next(module for module in model.modules() if isinstance(module, nn.BatchNorm2d))
    reader = [module for module in model.modules() if isinstance(module, nn.Conv2d)][1]
    with torch.no_grad():
        norm.weight.mul_(6e4), norm.bias.mul_(6e4), reader.weight.div_(6e4)
    plan, image = planned(model), frames(1)[0][None]
    spec = export_onnx(model, source, spec_of(model), classes_of(model), dynamic=True)
    _, typed = write_fp16_onnx(model, plan, source, spec, path)
    convs = [node.name for node in onnx.load(source).graph.node if node.op_type == "Conv"]
    stays = list(typed.fp32)
    assert stays[0] == convs[0] and stays[-1] == convs[1] and len(stays) == 3, "two convolutions, the ReLU between"
    assert "and FP16 ends at 65504" in typed.fp32[convs[0]]
    assert len(typed.casts) == kinds(path).count("Cast") == 4, "the pixels, both sides of what is kept, the scores"
    expected = scores_of(source, image)
    assert np.abs(scores_of(path, image) - expected).max() < 0.02 * np.abs(expected).max()
    # The same file without the check of ranges. ONNX Runtime takes casts out that follow one another, and computes what
    # is between them in FP32: to see what a device sees, the tensor has to be asked for.
    wide = next(node.output[0] for node in onnx.load(source).graph.node if node.op_type == "Relu")
    assert np.isfinite(tensor_of(path, wide, image)).all()
    blind = dict.fromkeys(plan.ranges.values, (0.0, 1.0))
    write_fp16_onnx(model, Plan(Ranges(blind, "minmax", 8)), source, spec, path)
    assert np.isinf(tensor_of(path, wide, image)).any()


def tensor_of(path: Path, name: str, image: np.ndarray) -> np.ndarray:
    model = onnx.load(path)
    model.graph.output.append(onnx.helper.make_tensor_value_info(name, float_tensors(model)[name], None))
    return quiet_session(model).run([name], {"image": image})[0]


@pytest.mark.parametrize(("low", "high", "kept"), [(0.0, 5e-5, True), (0.0, 1.0, False), (0.0, 1e-9, False)])
def test_values_with_few_digits_left_stay_in_fp32_and_noise_does_not(onnx_files, tmp_path, low, high, kept) -> None:
    files = onnx_files("student")
    typed = write(files, tmp_path / "fp16.onnx", with_range(files.plan, "blocks.1.0.conv_pwl", low, high))
    assert bool(typed.fp32) == kept
    assert not kept or "where FP16 has few digits left" in next(iter(typed.fp32.values()))


def test_a_kernel_too_small_for_fp16_stays_in_fp32(onnx_files, tmp_path) -> None:
    files, source = onnx_files("student"), tmp_path / "fp32.onnx"
    model = onnx.load(files.fp32)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    head = next(node for node in model.graph.node if node.output[0] == "scores")
    small = copy.deepcopy(files.model)
    with torch.no_grad():
        small.head.weight.mul_(2e-6)
    kernel = numpy_helper.to_array(constants[head.input[1]]) * np.float32(2e-6)
    constants[head.input[1]].CopyFrom(numpy_helper.from_array(kernel, head.input[1]))
    onnx.save(model, source)
    _, typed = write_fp16_onnx(small, files.plan, source, files.fp32_spec, tmp_path / "fp16.onnx")
    assert list(typed.fp32) == [head.name] and "too small for FP16" in typed.fp32[head.name]
    assert typed.casts[-1] != "cast_scores", "the scores are FP32 as they are made"


def test_a_plan_or_file_of_another_network_is_refused_and_nothing_is_left(onnx_files, tmp_path) -> None:
    files, path = onnx_files("student"), tmp_path / "fp16.onnx"
    other = copy.deepcopy(files.model)
    with torch.no_grad():
        other.head.weight.mul_(-1)
    short = {key: pair for key, pair in files.plan.ranges.values.items() if key != "head"}
    with pytest.raises(ExportError, match="head has no calibrated range"):
        write(files, path, Plan(Ranges(short, "minmax", 8)))
    with pytest.raises(ExportError, match="matches no operation of the network"):
        write_fp16_onnx(other, files.plan, files.fp32, files.fp32_spec, path)
    with pytest.raises(ExportError, match=r"cannot read the FP32 file none\.onnx"):
        write_fp16_onnx(files.model, files.plan, tmp_path / "none.onnx", files.fp32_spec, path)
    assert not list(tmp_path.iterdir())
