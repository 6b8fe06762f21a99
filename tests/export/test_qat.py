"""What is trained is what ships: the network that rounds and the INT8 file, written by the same plan, answer alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgeseg.compress.int8.fold import fold_batch_norm
from edgeseg.compress.qat.net import rounding
from edgeseg.compress.qat.rule import RULES
from edgeseg.export.onnx.placement import s8_tensorrt
from edgeseg.export.onnx.qdq import write_int8_onnx
from edgeseg.runtime.segmenter import Segmenter

from .conftest import frames


def _logits(path, spec, images):
    """NCHW, as the runtime gets them."""
    found = []
    with Segmenter.from_file(path, spec, 1) as segmenter:
        for image in images:
            scores = segmenter.infer(segmenter.prepare(image[..., 0] if image.shape[-1] == 1 else image))
            found.append((scores.astype(np.float32) - spec.output.zero_point) * np.float32(spec.output.scale))
    logits = np.concatenate(found)
    return logits.transpose(0, 3, 1, 2) if spec.output.layout == "NHWC" else logits


@pytest.mark.parametrize(
    ("target", "name", "share"),
    [
        ("x86-ort", "student", 0.3),
        ("x86-ort", "student_rgb", 0.3),
        ("x86-ort", "student_stride_8", 0.3),
        ("x86-ort", "unet_transposed", 0.5),
        ("arm64-ort", "student", 0.5),
        ("arm64-ort", "student_rgb", 0.5),
        ("x86-litert", "student", 0.5),
    ],
)
def test_it_rounds_as_the_file_does(onnx_files, tflite_files, tmp_path, target, name, share):
    """Of untrained networks, which make an error of one integer a large one: far nearer to the file than the floats.

    The rest is ties, which engines and torch round to either side, half a resize's values among them.
    """
    files = (tflite_files if target == "x86-litert" else onnx_files)(name)
    path, spec = files.int8, files.int8_spec
    if target == "arm64-ort":
        path = tmp_path / "s8.onnx"
        spec = write_int8_onnx(files.model, files.plan, files.fp32, files.fp32_spec, path, s8_tensorrt())
    images = frames(4, files.model.arch["in_channels"], seed=5)
    found = _logits(path, spec, images)
    folded = fold_batch_norm(files.model)
    x = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        rounded, floats = rounding(folded, files.plan, RULES[target])(x).numpy(), folded(x).numpy()
    assert (found - rounded).std() < share * (found - floats).std()
