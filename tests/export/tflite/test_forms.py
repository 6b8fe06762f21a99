"""FP16 weights, dynamic range and 16x8: the FP32 file's answers, and what is small held against its origin."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import OpResolverType

from edgeseg.compress.int8.calibrate import Ranges
from edgeseg.compress.int8.plan import Plan
from edgeseg.export.formats import Origin, write_quantised
from edgeseg.export.half import LARGEST
from edgeseg.export.tflite import flatbuffer, weights
from edgeseg.export.tflite.export import export_tflite
from edgeseg.runtime.errors import ExportError

from ..conftest import Exported, classes_of, frames, network, planned, spec_of
from .test_export import logits_of, operators_of, types_of

FORMS = ["fp16", "dynamic", "int16x8"]


def origin(files: Exported) -> Origin:
    return Origin(files.model, files.plan, files.fp32, files.fp32_spec)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["student", "student_rgb"])
@pytest.mark.parametrize("resolver", [OpResolverType.AUTO, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES])
def test_it_answers_like_the_fp32_file_in_both_sets_of_kernels(tflite_files, tmp_path, form, name, resolver) -> None:
    files, path = tflite_files(name), tmp_path / "model.tflite"
    spec, _ = write_quantised("tflite", origin(files), path, form)
    assert (spec.precision, spec.input_dtype, spec.output) == (form, "uint8", files.fp32_spec.output)
    images = [image[None] for image in frames(2, files.input.channels, seed=5)]
    expected = np.stack([logits_of(files.fp32, files.fp32_spec, image) for image in images])
    found = np.stack([logits_of(path, spec, image, resolver) for image in images])
    least = {"fp16": 0.9999, "dynamic": 0.95, "int16x8": 0.99}[form]
    assert np.corrcoef(expected.ravel(), found.ravel())[0, 1] > least


def test_weights_alone_are_small_and_16x8_is_integer_behind_the_stem(tflite_files, tmp_path) -> None:
    files, kinds = tflite_files("student"), set(operators_of(tflite_files("student").fp32))
    read, types, sizes = {}, {}, {}
    for form in FORMS:
        path = tmp_path / f"{form}.tflite"
        read[form] = write_quantised("tflite", origin(files), path, form)[1]
        types[form], sizes[form] = types_of(path), path.stat().st_size / files.fp32.stat().st_size
        assert set(operators_of(path)) - kinds <= {"DEQUANTIZE", "QUANTIZE"}
        assert not flatbuffer.read(path.read_bytes()).metadata
    assert types["fp16"] == {"UINT8", "FLOAT32"} and types["dynamic"] == {"UINT8", "FLOAT32"}
    assert "INT16" in types["int16x8"] and operators_of(tmp_path / "int16x8.tflite")[-1] == "DEQUANTIZE"
    assert not read["fp16"].fp32 and len(read["dynamic"].fp32) == 1, "the stem"
    assert read["fp16"].n_kernels == read["dynamic"].n_kernels + 1 == read["int16x8"].n_kernels + 1
    assert sizes["fp16"] < 0.8 and sizes["dynamic"] < 0.8 and sizes["int16x8"] < 0.9


def test_float_paths_keep_their_kernels(tflite_files, tmp_path) -> None:
    files = tflite_files("student")
    plan = Plan(files.plan.ranges, files.plan.shared, ("head",))
    for form in ("dynamic", "int16x8"):
        path = tmp_path / f"{form}.tflite"
        _, plain = write_quantised("tflite", origin(files), path, form)
        _, kept = write_quantised("tflite", origin(files)._replace(plan=plan), path, form)
        assert kept.n_kernels == plain.n_kernels - 1


@pytest.mark.slow
def test_a_kernel_that_fp16_cannot_hold_stays_fp32_and_says_why(tmp_path) -> None:
    model, source, path = network("student"), tmp_path / "fp32.tflite", tmp_path / "fp16.tflite"
    with torch.no_grad():
        model.head.weight[0].mul_(2 * LARGEST / model.head.weight[0].abs().max())
    spec = export_tflite(model, source, spec_of(model), classes_of(model))
    _, read = write_quantised("tflite", Origin(model, planned(model), source, spec), path, "fp16")
    assert list(read.fp32) == ["scores"] and "FP16 ends at 65504" in read.fp32["scores"]


def test_what_was_not_rounded_as_planned_is_refused_and_leaves_no_file(
    tflite_files, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, path = tflite_files("student"), tmp_path / "model.tflite"
    quantise = weights.quantise

    def wrong(content: bytes, *others: object) -> bytes:
        model = flatbuffer.read(quantise(content, *others))
        graph = model.subgraphs[0]
        largest = max((t for t in graph.tensors if t.type in kernels), key=lambda one: int(np.prod(one.shape)))
        data = np.array(model.buffers[largest.buffer].data)
        data[1] ^= 16
        model.buffers[largest.buffer].data = data
        return flatbuffer.write(model)

    kernels = (flatbuffer.schema.TensorType.FLOAT16, flatbuffer.schema.TensorType.INT8)
    monkeypatch.setattr(weights, "quantise", wrong)
    for form in ("fp16", "dynamic"):
        with pytest.raises(ExportError, match=r"the kernel that makes t\d+ is not that of fp32\.tflite, rounded"):
            write_quantised("tflite", origin(files), path, form)
    assert not list(tmp_path.iterdir())


def test_a_plan_or_file_of_another_network_is_refused(tflite_files, tmp_path: Path) -> None:
    files, path = tflite_files("student"), tmp_path / "model.tflite"
    other = copy.deepcopy(files.model)
    with torch.no_grad():
        other.head.weight.mul_(-1)
    short = Plan(Ranges({key: pair for key, pair in files.plan.ranges.values.items() if key != "head"}, "minmax", 8))
    with pytest.raises(ExportError, match="head has no calibrated range"):
        write_quantised("tflite", origin(files)._replace(plan=short), path, "int16x8")
    for form in ("dynamic", "int16x8"):
        with pytest.raises(ExportError, match="matches no operation"):
            write_quantised("tflite", origin(files)._replace(model=other), path, form)
    with pytest.raises(ExportError, match=r"cannot read the FP32 file none\.tflite"):
        write_quantised("tflite", origin(files)._replace(source=tmp_path / "none.tflite"), path, "fp16")
    assert not list(tmp_path.iterdir())
