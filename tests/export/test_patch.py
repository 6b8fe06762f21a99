"""Patched FP32 files answer like the prepared network, and both INT8 writers take them."""

from __future__ import annotations

import copy

import numpy as np
import onnx
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from torch import nn

from edgeseg.compress.int8.calibrate import collect_ranges
from edgeseg.compress.int8.fold import fold_batch_norm
from edgeseg.compress.int8.plan import make_plan
from edgeseg.export.onnx.export import export_onnx
from edgeseg.export.onnx.qdq import write_int8_onnx
from edgeseg.export.patch import patch_onnx, patch_tflite
from edgeseg.export.tflite.int8 import write_int8_tflite
from edgeseg.runtime.backends.ort import open_session
from edgeseg.runtime.errors import ExportError

from .conftest import classes_of, frames, network, quiet_options, spec_of


def prepared(model: nn.Module) -> nn.Module:
    """The folded network with every kernel and bias changed a little, each in its own way."""
    network = fold_batch_norm(model)
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data *= 1 + 0.2 * torch.rand(parameter.shape, generator=generator)
    return network


def expected(network: nn.Module, image: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return network(torch.from_numpy(image).permute(0, 3, 1, 2).float() / 255).numpy()


def plan_of(network: nn.Module):
    images = np.stack(frames(8, 1, seed=1))
    return make_plan(network, collect_ranges(network, [images]))


def run_onnx(path, image: np.ndarray) -> np.ndarray:
    session = open_session(str(path), quiet_options())
    return session.run(None, {"image": image})[0]


def run_tflite(path, image: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=path.read_bytes())
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]
    interpreter.set_tensor(entry["index"], image.astype(entry["dtype"]))
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).transpose(0, 3, 1, 2)


@pytest.mark.parametrize("name", ["student", "unet_transposed"])
def test_an_onnx_file_takes_over_every_tensor(onnx_files, tmp_path, name):
    files = onnx_files(name)
    network, patched = prepared(files.model), tmp_path / "patched.onnx"
    patch_onnx(files.fp32, patched, files.model, network)
    image = np.stack(frames(1, 1, seed=7))
    truth = expected(network, image)
    np.testing.assert_allclose(run_onnx(patched, image), truth, atol=2e-3 * np.abs(truth).max())
    assert abs(patched.stat().st_size - files.fp32.stat().st_size) < 8_000
    spec = write_int8_onnx(network, plan_of(network), patched, files.fp32_spec, tmp_path / "i.onnx")
    scores = (run_onnx(tmp_path / "i.onnx", image).astype(np.float32) - spec.output.zero_point) * spec.output.scale
    assert np.corrcoef(scores.ravel(), truth.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("name", ["student", "unet_transposed"])
def test_a_tflite_file_takes_over_every_tensor(tflite_files, tmp_path, name):
    files = tflite_files(name)
    network, patched = prepared(files.model), tmp_path / "patched.tflite"
    patch_tflite(files.fp32, patched, files.model, network)
    image = np.stack(frames(1, 1, seed=7))
    truth = expected(network, image)
    np.testing.assert_allclose(run_tflite(patched, image), truth, atol=2e-3 * np.abs(truth).max())
    write_int8_tflite(network, plan_of(network), patched, files.fp32_spec, tmp_path / "i.tflite")
    assert (tmp_path / "i.tflite").stat().st_size < 1.1 * files.int8.stat().st_size


def test_a_bias_of_zeros_that_the_exporter_left_out_finds_its_place(tmp_path):
    model = network("unet_transposed")
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.bias.data.zero_()
            module.running_mean.zero_()
    export_onnx(model, tmp_path / "fp32.onnx", spec_of(model), classes_of(model))
    left_out = [len(node.input) < 3 for node in onnx.load(tmp_path / "fp32.onnx").graph.node if node.op_type == "Conv"]
    assert any(left_out)
    changed = fold_batch_norm(model)
    for name, parameter in changed.named_parameters():
        if name.endswith("bias"):
            parameter.data += 0.05
    patch_onnx(tmp_path / "fp32.onnx", tmp_path / "p.onnx", model, changed)
    image = np.stack(frames(1, 1, seed=7))
    truth = expected(changed, image)
    np.testing.assert_allclose(run_onnx(tmp_path / "p.onnx", image), truth, atol=2e-3 * np.abs(truth).max())


def test_nothing_changed_gives_the_same_answers(onnx_files, tmp_path):
    files = onnx_files("student")
    patch_onnx(files.fp32, tmp_path / "p.onnx", files.model, fold_batch_norm(files.model))
    image = np.stack(frames(1, 1, seed=7))
    np.testing.assert_array_equal(run_onnx(tmp_path / "p.onnx", image), run_onnx(files.fp32, image))


def test_a_file_of_another_network_is_refused(onnx_files, tmp_path):
    files = onnx_files("student")
    other = copy.deepcopy(files.model)
    other.head.weight.data += 1
    with pytest.raises(ExportError, match=r"kernel head\.weight is not of this network"):
        patch_onnx(files.fp32, tmp_path / "p.onnx", other, prepared(other))
    assert not list(tmp_path.iterdir())
