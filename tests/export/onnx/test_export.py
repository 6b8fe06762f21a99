"""The FP32 ONNX file: same answers as torch at any size, nothing in it but the network."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from edgeseg.export.onnx.export import export_onnx, quiet_session
from edgeseg.runtime.errors import ExportError
from edgeseg.runtime.spec.manifest import Geometry, InputSpec

from ..conftest import ARCHS, classes_of, network, spec_of


def scores_of(path, image):
    session = quiet_session(onnx.load(path))
    return session.run(None, {session.get_inputs()[0].name: image})[0]


@pytest.mark.parametrize("name", ARCHS)
def test_answers_like_torch_at_any_size_and_batch(onnx_files, name):
    files = onnx_files(name)
    stride, channels = files.model.stride, files.input.channels
    rng = np.random.default_rng(3)
    for shape in ((1, 4 * stride, 2 * stride, channels), (3, stride, 5 * stride, channels)):
        image = rng.integers(0, 256, shape, dtype=np.uint8)
        with torch.no_grad():
            expected = files.model(torch.from_numpy(image).permute(0, 3, 1, 2).float() / 255).numpy()
        np.testing.assert_allclose(scores_of(files.fp32, image), expected, atol=1e-3 * np.abs(expected).max())


def test_spec_says_what_the_file_is(onnx_files):
    files = onnx_files("student")
    spec = files.fp32_spec
    assert (spec.backend, spec.precision, spec.dynamic, spec.input_dtype) == ("onnxruntime", "fp32", True, "uint8")
    assert (spec.output.layout, spec.output.stride_px, spec.output.activation) == ("NCHW", 2, "softmax")
    assert onnx_files("student_rgb").fp32_spec.output.activation == "sigmoid"


def test_fixed_export_takes_its_size_from_the_geometry(student, tmp_path):
    spec = export_onnx(student, tmp_path / "m.onnx", spec_of(student), classes_of(student))
    dims = onnx.load(tmp_path / "m.onnx").graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_value for dim in dims] == [1, 64, 64, 1]
    assert not spec.dynamic


@pytest.mark.parametrize("kind", ["fp32", "int8"])
def test_the_file_holds_no_path_and_no_metadata(onnx_files, kind, tmp_path):
    path = getattr(onnx_files("student"), kind)
    content = path.read_bytes()
    for trace in (b"pkg.torch", b"stack_trace", b"site-packages", b".py", b"/work", b"/home", str(tmp_path).encode()):
        assert trace not in content
    model = onnx.load(path)
    assert not model.metadata_props and not model.graph.value_info and not model.graph.doc_string
    assert all(not node.metadata_props and not node.doc_string for node in model.graph.node)


def test_gray_pixels_are_reshaped_not_transposed(onnx_files):
    kinds = [node.op_type for node in onnx.load(onnx_files("student").fp32).graph.node]
    assert "Transpose" not in kinds
    # Scaling and batch norm are folded: nothing stands between the pixels and the first convolution but a cast.
    assert kinds[:4] == ["Cast", "Squeeze", "Unsqueeze", "Conv"], "to float first: TensorRT moves no uint8 values"
    assert not {"Mul", "Div", "BatchNormalization"} & set(kinds)


class Sized(nn.Module):
    """Knows one size only: adds a learnt map of 4x6 pixels."""

    stride, output_stride, n_outputs = 2, 1, 3

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, padding=1)
        self.map = nn.Parameter(torch.zeros(1, 3, 4, 6))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + self.map


class FollowsSize(nn.Module):
    """Takes a size from a tensor, which a fixed export bakes in."""

    stride, output_stride, n_outputs = 2, 1, 3

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, stride=2, padding=1)
        self.skip = nn.Conv2d(1, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        deep = nn.functional.interpolate(self.conv(x), size=x.shape[-2:], mode="bilinear")
        return deep + self.skip(x)


class Branching(nn.Module):
    """Depends on a value, which no tracer can follow."""

    stride, output_stride, n_outputs = 2, 1, 3

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        if y.mean() > 0:
            y = -y
        return y


CLASSES = ("background", "scratch", "pit")
GRAY = InputSpec("gray", Geometry("resize", 64, 64), 2)


def test_a_baked_in_size_is_refused_where_any_size_is_asked(tmp_path):
    with pytest.raises(ExportError, match="fixed size although dynamic"):
        export_onnx(Sized().eval(), tmp_path / "m.onnx", GRAY, CLASSES, dynamic=True)
    assert not list(tmp_path.iterdir())


def test_a_size_taken_from_a_tensor_stays_free(tmp_path):
    model = FollowsSize().eval()
    export_onnx(model, tmp_path / "m.onnx", GRAY, CLASSES, dynamic=True)
    image = np.random.default_rng(0).integers(0, 256, (2, 10, 16, 1), dtype=np.uint8)
    with torch.no_grad():
        expected = model(torch.from_numpy(image).permute(0, 3, 1, 2).float() / 255).numpy()
    np.testing.assert_allclose(scores_of(tmp_path / "m.onnx", image), expected, atol=1e-5)


def test_an_untraceable_network_is_refused_with_the_line(tmp_path):
    with pytest.raises(ExportError, match=r"cannot trace Branching: `if y.mean\(\) > 0:`"):
        export_onnx(Branching().eval(), tmp_path / "m.onnx", GRAY, CLASSES)


@pytest.mark.parametrize(
    ("spec", "classes", "message"),
    [
        (InputSpec("rgb", Geometry("resize", 64, 64), 8), CLASSES, "1 input channels, the spec asks for 3"),
        (InputSpec("gray", Geometry("resize", 64, 64), 8), ("a", "b"), "3 score planes, the spec asks for 2"),
        (InputSpec("gray", Geometry("resize", 64, 64), 4), CLASSES, "stride_px 4 is no multiple"),
        (InputSpec("gray", Geometry("native"), 8), CLASSES, "needs a size"),
    ],
)
def test_a_spec_that_contradicts_the_network_is_refused(student, tmp_path, spec, classes, message):
    with pytest.raises(ExportError, match=message):
        export_onnx(student, tmp_path / "m.onnx", spec, classes)


def test_two_exports_are_equal_byte_for_byte(student, tmp_path):
    for name in ("a", "b"):
        export_onnx(student, tmp_path / name, spec_of(student), classes_of(student))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_network_is_left_as_it_was(tmp_path):
    model = network("student")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    export_onnx(model, tmp_path / "m.onnx", spec_of(model), classes_of(model))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
