"""No value is moved or cast but where it is stated, in every ONNX file that the table of formats can write.

What is stated: pixels are cast to float once, except where they are the first integers; channels of a colour image go
to the front once; the scores of a typed FP16 file are cast back, and what it keeps in FP32 for a reason stands between
casts that are listed; the u8s8 stem on columns transposes cells of pixels and their result, which ONNX Runtime cancels.
"""

from __future__ import annotations

import onnx
import pytest

from edgeseg.export.formats import FORMATS, Origin, write_quantised
from edgeseg.export.onnx.export import export_onnx
from edgeseg.export.trt.classic import for_tensorrt_8

from ..conftest import ARCHS

WRITTEN = [
    (name, precision) for name, its in FORMATS.items() if its.suffix == ".onnx" for precision in ("fp32", *its.writers)
]
STEM_ON_COLUMNS = ("onnx", "int8")


def nodes_of(model: onnx.ModelProto, operator: str) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.op_type == operator]


def check_ends(model: onnx.ModelProto, colour: bool) -> None:
    """One cast, of the pixels and first of all; one transposition, of a colour image."""
    (cast,) = nodes_of(model, "Cast")
    assert cast == model.graph.node[0] and list(cast.input) == ["image"]
    transposed = nodes_of(model, "Transpose")
    assert len(transposed) == colour and all(list(node.input) == list(cast.output) for node in transposed)


@pytest.mark.parametrize("name", ARCHS)
@pytest.mark.parametrize("written", WRITTEN, ids="-".join)
def test_nothing_is_moved_or_cast_but_what_is_stated(onnx_files, tmp_path, name, written):
    files, path, (kind, precision) = onnx_files(name), tmp_path / "model.onnx", written
    read = None
    if precision == "fp32":
        path = files.fp32
    else:
        origin = Origin(files.model, files.plan, files.fp32, files.fp32_spec)
        _, read = write_quantised(kind, origin, path, precision)
    model, colour = onnx.load(path), files.input.channels > 1
    if written == STEM_ON_COLUMNS:
        assert not nodes_of(model, "Cast")
        check_stem(model, colour)
    elif precision == "fp16":
        check_typed(model, read, colour)
    else:
        check_ends(model, colour)
        old = onnx.load_from_string(for_tensorrt_8(path.read_bytes()))
        assert not nodes_of(old, "Cast") and len(nodes_of(old, "Transpose")) == colour


def check_typed(model: onnx.ModelProto, read, colour: bool) -> None:
    casts = nodes_of(model, "Cast")
    assert tuple(node.name for node in casts) == read.casts
    assert list(casts[0].input) == ["image"] and list(casts[-1].output) == ["scores"]
    in_fp32 = {name for node in model.graph.node if node.name in read.fp32 for name in (*node.input, *node.output)}
    assert all({*node.input, *node.output} & in_fp32 for node in casts[1:-1])
    assert len(nodes_of(model, "Transpose")) == colour


def check_stem(model: onnx.ModelProto, colour: bool) -> None:
    """All transpositions lie between the image and what reads the first convolution's result."""
    first = nodes_of(model, "Conv")[0]
    on_columns = any(one.name == "kernel_shape" and list(one.ints) == [3, 2] for one in first.attribute)
    transposed = nodes_of(model, "Transpose")
    assert len(transposed) == (3 if on_columns else colour)
    order = [node.name or node.output[0] for node in model.graph.node]
    convolutions = [order.index(node.name or node.output[0]) for node in nodes_of(model, "Conv")]
    assert all(order.index(node.name or node.output[0]) < convolutions[1] for node in transposed)


@pytest.mark.parametrize("name", ["student", "student_rgb"])
def test_nor_in_a_file_of_fixed_size(onnx_files, tmp_path, name):
    files = onnx_files(name)
    export_onnx(files.model, tmp_path / "fixed.onnx", files.input, files.classes)
    check_ends(onnx.load(tmp_path / "fixed.onnx"), files.input.channels > 1)
