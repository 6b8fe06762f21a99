"""Parity: the figures, the runtimes, and the refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from edgeseg.export.parity import Tolerance, parity
from edgeseg.runtime.errors import ExportError
from edgeseg.runtime.segmenter import Segmenter

from .conftest import frames, network

FRAMES = [frame[:, :, 0] for frame in frames(3, seed=7)]


def test_a_float_file_agrees_to_rounding(onnx_files):
    files = onnx_files("student")
    found = parity(files.model, files.fp32, files.fp32_spec, FRAMES)
    assert found.mask_agreement > 0.999 and found.n_frames == 3
    assert found.max_logit_error < 1e-3 * found.largest_logit
    assert [name.split()[0] for name in found.runtimes_loaded] == ["onnxruntime"]
    assert not found.runtimes_refused


@pytest.mark.parametrize(("name", "stride"), [("student_stride_4", 4), ("student_stride_8", 8)])
def test_coarser_networks_agree_in_every_file(onnx_files, tflite_files, name, stride):
    for files in (onnx_files(name), tflite_files(name)):
        images = [frame[:, :, 0] if files.input.color == "gray" else frame for frame in frames(3, 3, seed=7)]
        assert files.fp32_spec.output.stride_px == files.int8_spec.output.stride_px == stride
        exact = parity(files.model, files.fp32, files.fp32_spec, images)
        assert exact.mask_agreement > 0.999 and exact.max_logit_error < 1e-3 * max(exact.largest_logit, 1)
        parity(files.model, files.int8, files.int8_spec, images, Tolerance(None, 0.5))
        with Segmenter.from_file(files.int8, files.int8_spec, threads=1) as segmenter:
            result = segmenter(images[0], probability=True)
        wanted = result.probability.argmax(axis=0)  # enlarged in float: only near-ties may turn
        assert (result.mask == wanted).mean() > 0.98 and 0.01 < (wanted > 0).mean() < 0.99


def test_both_sets_of_litert_kernels_are_tried(tflite_files):
    files = tflite_files("student")
    found = parity(files.model, files.int8, files.int8_spec, FRAMES, Tolerance(None, 0.5))
    assert len([name for name in found.runtimes_loaded if name.startswith("ai-edge-litert")]) == 2
    assert 0.5 < found.worst_frame_agreement <= found.mask_agreement < 1
    assert found.to_json()["runtimes_loaded"] == list(found.runtimes_loaded)


def test_frames_of_another_size_go_through_the_geometry(onnx_files):
    files = onnx_files("student")
    frame = np.random.default_rng(0).integers(0, 256, (50, 90), dtype=np.uint8)
    assert parity(files.model, files.fp32, files.fp32_spec, [frame]).mask_agreement > 0.999


def test_a_sigmoid_model_is_compared_through_its_threshold(onnx_files):
    files = onnx_files("student_rgb")
    found = parity(files.model, files.fp32, files.fp32_spec, frames(2, 3))
    assert found.mask_agreement > 0.999 and found.max_logit_error < 1e-3 * max(found.largest_logit, 1)


def test_another_networks_file_is_refused_with_the_figures(onnx_files):
    files = onnx_files("student")
    other = network("student")
    with torch.no_grad():
        other.head.weight.neg_()
    with pytest.raises(
        ExportError, match=r"masks agree on \d+\.\d+% of pixels, 99\.9000% are asked; the largest logit"
    ):
        parity(other, files.fp32, files.fp32_spec, FRAMES)


def test_nan_weights_are_refused(onnx_files):
    files = onnx_files("student")
    broken = network("student")
    with torch.no_grad():
        broken.head.bias[0] = float("nan")
    with pytest.raises(ExportError, match="logit error is nan"):
        parity(broken, files.fp32, files.fp32_spec, FRAMES, Tolerance(0.01, 0.0))


def test_no_frame_is_refused(onnx_files):
    files = onnx_files("student")
    with pytest.raises(ExportError, match="at least one frame"):
        parity(files.model, files.fp32, files.fp32_spec, [])


def test_a_file_no_runtime_takes_is_refused(onnx_files, tmp_path):
    files = onnx_files("student")
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(files.fp32.read_bytes()[:1000])
    with pytest.raises(ExportError, match=r"damaged\.onnx"):
        parity(files.model, damaged, files.fp32_spec, FRAMES)


def test_a_spec_of_another_file_is_refused(onnx_files):
    files = onnx_files("student")
    with pytest.raises(ExportError, match="spec"):
        parity(files.model, files.int8, replace(files.fp32_spec, precision="int8"), FRAMES)
