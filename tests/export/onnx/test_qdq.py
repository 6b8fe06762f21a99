"""The INT8 ONNX files: nothing but integer kernels on x86, TensorRT's placement in the other, one plan behind both."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from edgeseg.compress.int8.calibrate import collect_ranges
from edgeseg.compress.int8.fold import fold_batch_norm
from edgeseg.compress.int8.plan import make_plan
from edgeseg.export.onnx.export import export_onnx
from edgeseg.export.onnx.placement import s8_tensorrt
from edgeseg.export.onnx.qdq import write_int8_onnx
from edgeseg.runtime.backends.ort import open_session
from edgeseg.runtime.errors import ExportError
from edgeseg.runtime.spec.manifest import Geometry, InputSpec

from ..conftest import ARCHS, classes_of, frames, network, planned, quiet_options, spec_of


def session_of(path, optimised=None):
    options = quiet_options()
    if optimised is not None:
        options.optimized_model_filepath = str(optimised)
    return open_session(str(path), options)


def logits_of(path, spec, images):
    (scores,) = session_of(path).run(None, {"image": images})
    return (scores.astype(np.float32) - spec.output.zero_point) * np.float32(spec.output.scale)


def images_of(files, n=4):
    return np.stack(frames(n, files.input.channels, seed=5))


@pytest.mark.parametrize("name", ARCHS)
def test_integers_answer_like_floats(onnx_files, name):
    files = onnx_files(name)
    images = images_of(files)
    expected = logits_of(files.fp32, files.fp32_spec, images)
    found = logits_of(files.int8, files.int8_spec, images)
    # An untrained network is the hard case: its scores hang on small differences of large activations.
    assert np.corrcoef(expected.ravel(), found.ravel())[0, 1] > 0.95
    assert abs(float((found - expected).mean())) < 0.1 * expected.std()


@pytest.mark.parametrize("name", ["student", "student_rgb", "unet_bilinear"])
def test_no_float_convolution_addition_or_concatenation_is_left(onnx_files, tmp_path, name):
    session_of(onnx_files(name).int8, tmp_path / "optimised.onnx")
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node)
    assert kinds["QLinearConv"] > 0 and kinds["QLinearConcat"] > 0
    # Bilinear upsampling runs in float between a pair: ONNX Runtime's uint8 kernel is slower and rounds down.
    resizes = kinds["Resize"]
    assert kinds["DequantizeLinear"] == kinds["QuantizeLinear"] == resizes
    moves = {"Reshape", "Squeeze", "Unsqueeze", "Transpose", "MaxPool", "NhwcMaxPool"}
    integers = {"QLinearConv", "QLinearAdd", "QLinearConcat"}
    assert set(kinds) <= moves | integers | {"Resize", "QuantizeLinear", "DequantizeLinear"}


def test_pixels_enter_and_scores_leave_as_integers(onnx_files):
    files = onnx_files("student")
    graph = onnx.load(files.int8).graph
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert "Cast" not in {node.op_type for node in graph.node}
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    first = next(node for node in graph.node if node.op_type == "DequantizeLinear")
    assert constants[first.input[1]] == 1.0 and constants[first.input[2]] == 0
    spec = files.int8_spec
    assert (spec.precision, spec.output.dtype) == ("int8", "uint8")
    low, high = files.plan.range_of("head")
    assert spec.output.scale == pytest.approx((high - low) / 255)


def test_relu6_costs_nothing(onnx_files):
    kinds = Counter(node.op_type for node in onnx.load(onnx_files("student").int8).graph.node)
    assert kinds["Clip"] == 0 and kinds["Conv"] > 0


def test_float_paths_stay_in_float(onnx_files, tmp_path):
    files = onnx_files("student")
    plan = replace(files.plan, float_paths=("head", "blocks.0"))
    spec = write_int8_onnx(files.model, plan, files.fp32, files.fp32_spec, tmp_path / "m.onnx")
    assert spec.output.dtype == "float32"
    integer = Counter(node.op_type for node in onnx.load(files.int8).graph.node)["QuantizeLinear"]
    mixed = onnx.load(tmp_path / "m.onnx").graph
    assert Counter(node.op_type for node in mixed.node)["QuantizeLinear"] < integer
    images = images_of(files)
    expected = logits_of(files.fp32, files.fp32_spec, images)
    found = logits_of(tmp_path / "m.onnx", spec, images)
    assert np.corrcoef(expected.ravel(), found.ravel())[0, 1] > 0.95


def test_tensorrt_placement(onnx_files, tmp_path):
    files = onnx_files("student")
    path = tmp_path / "s8.onnx"
    spec = write_int8_onnx(files.model, files.plan, files.fp32, files.fp32_spec, path, s8_tensorrt())
    graph = onnx.load(path).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    makers = {node.output[0]: node for node in graph.node}
    readers = Counter(name for node in graph.node for name in node.input)
    assert spec.output.dtype == "float32"
    for node in graph.node:
        if node.op_type == "QuantizeLinear":
            zero = constants[node.input[2]]
            assert zero.dtype == np.int8 and not zero.any()
            assert (constants[node.input[1]] > 0).all()
            # Explicit pairs: what is quantised is read back at once.
            assert {n.op_type for n in graph.node if node.output[0] in n.input} == {"DequantizeLinear"}
    for node in graph.node:
        if node.op_type == "Conv":
            quantised = [makers[name].op_type == "DequantizeLinear" if name in makers else False for name in node.input]
            assert not quantised[2], "biases stay in float"
            assert quantised[0] == quantised[1]
            narrow = min(constants[weight_of(node, makers)].shape[0], channels_in(node, makers, constants)) < 16
            assert quantised[0] != narrow
        if node.op_type == "Concat":
            scales = {makers[name].input[1] for name in node.input}
            assert len(scales) == 1, "all inputs of a concatenation share one scale"
        if node.op_type == "Add":
            assert sum(makers[name].op_type == "DequantizeLinear" for name in node.input) == 1, "the skip alone"
    assert readers["scores"] == 0
    images = images_of(files)
    expected = logits_of(files.fp32, files.fp32_spec, images)
    found = logits_of(path, spec, images)
    assert np.corrcoef(expected.ravel(), found.ravel())[0, 1] > 0.95


def weight_of(node, makers):
    maker = makers.get(node.input[1])
    while maker is not None:
        name = maker.input[0]
        maker = makers.get(name)
    return name if "name" in locals() else node.input[1]


def channels_in(node, makers, constants):
    groups = next(a.i for a in node.attribute if a.name == "group")
    return constants[weight_of(node, makers)].shape[1] * groups


def test_a_plan_of_another_network_is_refused(onnx_files, tmp_path):
    files = onnx_files("student")
    other = planned(network("unet_bilinear"))
    with pytest.raises(ExportError, match="no calibrated range"):
        write_int8_onnx(files.model, other, files.fp32, files.fp32_spec, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_a_file_of_another_network_is_refused(onnx_files, tmp_path):
    files = onnx_files("student")
    other = onnx_files("unet_bilinear")
    with pytest.raises(ExportError, match="matches no operation"):
        write_int8_onnx(files.model, files.plan, other.fp32, other.fp32_spec, tmp_path / "m.onnx")


def test_a_dead_channel_with_a_bias_keeps_its_bias(tmp_path, onnx_files):
    """Pruning and batch norm leave channels of nearly no weight; their bias must survive the int32 scale."""
    model = network("student")
    model.blocks[0][0].bn1.weight.data[:3] = 1e-12
    model.blocks[0][0].bn1.bias.data[:3] = 2.0
    spec = export_onnx(model, tmp_path / "f.onnx", spec_of(model), classes_of(model), dynamic=True)
    int8 = write_int8_onnx(model, planned(model), tmp_path / "f.onnx", spec, tmp_path / "i.onnx")
    images = images_of(onnx_files("student"))
    expected, found = logits_of(tmp_path / "f.onnx", spec, images), logits_of(tmp_path / "i.onnx", int8, images)
    assert np.corrcoef(expected.ravel(), found.ravel())[0, 1] > 0.95


class Gated(nn.Module):
    """Has operators without an integer form: a sigmoid gate."""

    stride, output_stride, n_outputs = 2, 1, 3

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, padding=1)
        self.gate = nn.Conv2d(8, 8, 1)
        self.head = nn.Conv2d(8, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return self.head(y * torch.sigmoid(self.gate(y)))


def test_an_operator_without_an_integer_form_stays_float_between_pairs(tmp_path):
    torch.manual_seed(0)
    model = Gated().eval()
    folded = fold_batch_norm(model)
    plan = make_plan(folded, collect_ranges(folded, [np.stack(frames(8, seed=1))]))
    its = InputSpec("gray", Geometry("resize", 64, 64), 2)
    spec = export_onnx(model, tmp_path / "f.onnx", its, ("a", "b", "c"))
    int8 = write_int8_onnx(model, plan, tmp_path / "f.onnx", spec, tmp_path / "i.onnx")
    image = np.stack(frames(1, seed=5))
    expected, found = logits_of(tmp_path / "f.onnx", spec, image), logits_of(tmp_path / "i.onnx", int8, image)
    assert np.corrcoef(expected.ravel(), found.ravel())[0, 1] > 0.99
    session_of(tmp_path / "i.onnx", tmp_path / "o.onnx")
    assert Counter(node.op_type for node in onnx.load(tmp_path / "o.onnx").graph.node)["QLinearConv"] == 3


def test_a_missing_or_damaged_source_is_refused(onnx_files, tmp_path):
    files = onnx_files("student")
    with pytest.raises(ExportError, match="cannot read the FP32 file none"):
        write_int8_onnx(files.model, files.plan, tmp_path / "none", files.fp32_spec, tmp_path / "m.onnx")
    (tmp_path / "half").write_bytes(files.fp32.read_bytes()[:500])
    with pytest.raises(ExportError, match="cannot read the FP32 file half"):
        write_int8_onnx(files.model, files.plan, tmp_path / "half", files.fp32_spec, tmp_path / "m.onnx")
