"""TensorRT's text calibration cache: its text, its names and scales, and what a file that is none is told."""

from __future__ import annotations

import struct
from dataclasses import replace

import onnx
import pytest

from edgeseg.export.trt.cache import (
    JETPACK_5,
    CalibrationCache,
    check_trt_cache,
    read_trt_cache,
    write_trt_cache,
)
from edgeseg.runtime.errors import ExportError

from ..conftest import ARCHS, network, planned

# Of NVIDIA/TensorRT samples/sampleINT8/README.md (read 2026-11), and a name as TensorRT makes up for unnamed layers.
NVIDIA = """\
TRT-8501-EntropyCalibration2
data: 3c008912
conv1: 3c88edfc
pool1: 3c88edfc
prob: 3c010a14
(Unnamed Layer* 0) [Convolution]_output: 404efcc8
"""


def write(files, plan, folder, **options):
    origin = (files.model, plan, files.fp32, files.fp32_spec, folder / "calibration.cache")
    return write_trt_cache(*origin, **options), check_trt_cache(*origin), origin[-1]


def test_nvidias_own_example_is_read() -> None:
    cache = CalibrationCache.from_text(NVIDIA, "calib")
    assert (cache.tensorrt, cache.algorithm, len(cache.scales)) == ((8, 5, 1), "EntropyCalibration2", 5)
    assert 127 * cache.scales["data"] == pytest.approx(0.9963, abs=1e-4)
    assert cache.scales["(Unnamed Layer* 0) [Convolution]_output"] == struct.unpack("!f", bytes.fromhex("404efcc8"))[0]
    assert cache.to_text() == NVIDIA


@pytest.mark.parametrize("name", ARCHS)
def test_every_result_the_plan_knows_has_its_scale(onnx_files, tmp_path, name) -> None:
    files = onnx_files(name)
    written, read, path = write(files, files.plan, tmp_path)
    assert read_trt_cache(path) == written
    lines = path.read_text().splitlines()
    assert lines[0] == "TRT-8502-EntropyCalibration2" and len(lines) == 1 + read.n_tensors
    graph = onnx.load(files.fp32).graph
    assert set(written.scales) == {"image"} | {node.output[0] for node in graph.node}, "fused ones included"
    assert written.scales["image"] == files.plan.s8_symmetric("image").scale
    assert lines[1] == "image: 40008102"  # 255 / 127
    assert written.scales["scores"] == files.plan.s8_symmetric("head").scale


def test_what_stays_in_float_has_no_line_nor_what_it_is_fused_with(onnx_files, tmp_path) -> None:
    files = onnx_files("student")
    everything, _, _ = write(files, files.plan, tmp_path)

    def missing(*paths: str) -> set[str]:
        written, _, _ = write(files, replace(files.plan, float_paths=paths), tmp_path)
        return set(everything.scales) - set(written.scales)

    assert missing("head") == {"scores"}
    # TensorRT leaves one tensor of a convolution and its ReLU, and of a convolution and the addition after it.
    assert missing("blocks.0.0.conv_dw") == {"conv2d_1", "hardtanh_1"}
    assert missing("blocks.0.0.conv_pw") == {"conv2d_2", "add"}
    assert missing("add_1") == {"add_1"}


def test_the_version_is_written_as_tensorrt_counts(onnx_files, tmp_path) -> None:
    files = onnx_files("student")
    for version, number in (((8, 2, 1), "8201"), (JETPACK_5, "8502"), ((10, 3, 0), "100300")):
        written, _, path = write(files, files.plan, tmp_path, tensorrt=version)
        assert path.read_text().startswith(f"TRT-{number}-EntropyCalibration2\n")
        assert read_trt_cache(path).tensorrt == version == written.tensorrt
    with pytest.raises(ExportError, match=r"TensorRT 11.4.1 has no use for a calibration cache; 8 to 10 have"):
        write(files, files.plan, tmp_path, tensorrt=(11, 4, 1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the first line is '', not TRT-VERSION-ALGORITHM"),
        ("TRT-8501-EntropyCalibration3\na: 3c008912", "not TRT-VERSION-ALGORITHM with one of EntropyCalibration2"),
        ("TRT-8XXX-EntropyCalibration2\na: 3c008912", "the first line is 'TRT-8XXX-EntropyCalibration2'"),
        ("a: 3c008912", "the first line is 'a: 3c008912'"),
        ("TRT-8501-EntropyCalibration2\n", "holds no scale"),
        ("TRT-8501-EntropyCalibration2\na 3c008912", "line 2: 'a 3c008912' is not NAME: HEX"),
        ("TRT-8501-EntropyCalibration2\na: 0.0078", "line 2: 'a: 0.0078' is not NAME: HEX"),
        ("TRT-8501-EntropyCalibration2\na: 3c008912\n\nb: 3c008912", "line 3: '' is not NAME: HEX"),
        ("TRT-8501-EntropyCalibration2\na: 3c008912\na: 3c008912", "line 3: tensor a has a scale already"),
        ("TRT-8501-EntropyCalibration2\na: 7fc00000", "line 2: the scale of a is nan, not a positive number"),
        ("TRT-8501-EntropyCalibration2\na: 0", "line 2: the scale of a is 0.0"),
        ("TRT-8501-EntropyCalibration2\na: bc008912", "line 2: the scale of a is -0.0078"),
    ],
)
def test_a_file_that_is_no_cache_is_refused(tmp_path, text, message) -> None:
    (tmp_path / "calib").write_text(text)
    with pytest.raises(ExportError, match="calib.*" + message.replace("(", r"\(")):
        read_trt_cache(tmp_path / "calib")


def test_a_missing_file_and_a_name_that_cannot_be_written_are_refused(tmp_path) -> None:
    with pytest.raises(ExportError, match="cannot read the calibration cache none"):
        read_trt_cache(tmp_path / "none")
    with pytest.raises(ExportError):
        CalibrationCache({"a\nb": 0.5}).to_text()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("image: 40008102", "image: 40008103", r"image \(image\) has scale 2.0078.*; the plan says scale 2.0078"),
        ("image: 40008102\n", "", r"image \(image\) is computed in float; the plan says integers"),
        ("image: 40008102", "image: 40008102\nother: 40008102", "other has scale .*; the plan says nothing about it"),
    ],
)
def test_a_cache_that_is_not_the_plans_is_caught(onnx_files, tmp_path, old, new, message) -> None:
    files = onnx_files("student")
    _, _, path = write(files, files.plan, tmp_path)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ExportError, match=r"calibration.cache is not the plan's: " + message):
        check_trt_cache(files.model, files.plan, files.fp32, files.fp32_spec, path)


def test_a_line_for_what_the_plan_keeps_in_float_is_caught(onnx_files, tmp_path) -> None:
    files = onnx_files("student")
    _, _, path = write(files, files.plan, tmp_path)
    plan = replace(files.plan, float_paths=("head",))
    with pytest.raises(ExportError, match=r"scores \(head\) is computed in integers; the plan says float"):
        check_trt_cache(files.model, plan, files.fp32, files.fp32_spec, path)


def test_a_plan_of_another_network_is_refused(onnx_files, tmp_path) -> None:
    files = onnx_files("student")
    with pytest.raises(ExportError, match="no calibrated range"):
        write(files, planned(network("unet_bilinear")), tmp_path)
    assert not list(tmp_path.iterdir())
