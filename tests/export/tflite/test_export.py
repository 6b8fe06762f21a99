"""The TFLite files: same answers as torch, integers throughout, the same scales as the ONNX file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from onnx import numpy_helper

from edgeseg.compress.int8.calibrate import Ranges
from edgeseg.compress.int8.plan import Plan
from edgeseg.export.tflite import flatbuffer
from edgeseg.export.tflite.export import export_tflite
from edgeseg.export.tflite.int8 import write_int8_tflite
from edgeseg.runtime.errors import ExportError
from edgeseg.runtime.spec.manifest import Geometry, InputSpec

from ..conftest import classes_of, frames, network, planned


def logits_of(path, spec, image, resolver=OpResolverType.AUTO):
    interpreter = Interpreter(str(path), experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    pixels = image if spec.input_dtype == "uint8" else (image ^ np.uint8(0x80)).view(np.int8)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels)
    interpreter.invoke()
    scores = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return (scores.astype(np.float32) - spec.output.zero_point) * np.float32(spec.output.scale)


def operators_of(path):
    model = flatbuffer.read(path.read_bytes())
    return [flatbuffer.operator_name(model, operator) for operator in model.subgraphs[0].operators]


def types_of(path, skip=0):
    """Types of the input and of the results of all operators but the first `skip`."""
    model = flatbuffer.read(path.read_bytes())
    graph = model.subgraphs[0]
    made = {int(i) for operator in graph.operators[skip:] for i in operator.outputs} | {int(i) for i in graph.inputs}
    names = {value: name for name, value in vars(flatbuffer.schema.TensorType).items()}
    return {names[graph.tensors[index].type] for index in made}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["student", "student_rgb", "unet_transposed", "lite_unet"])
def test_floats_answer_like_torch(tflite_files, name):
    files = tflite_files(name)
    for image in frames(2, files.input.channels, seed=5):
        with torch.no_grad():
            expected = files.model(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255).permute(0, 2, 3, 1)
        found = logits_of(files.fp32, files.fp32_spec, image[None])
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-3 * float(expected.abs().max()))


@pytest.mark.parametrize("name", ["student", "student_rgb", "unet_transposed"])
@pytest.mark.parametrize("resolver", [OpResolverType.AUTO, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES])
def test_integers_answer_like_floats_in_both_sets_of_kernels(tflite_files, name, resolver):
    files = tflite_files(name)
    images = [image[None] for image in frames(3, files.input.channels, seed=5)]
    expected = np.stack([logits_of(files.fp32, files.fp32_spec, image) for image in images])
    found = np.stack([logits_of(files.int8, files.int8_spec, image, resolver) for image in images])
    assert np.corrcoef(expected.ravel(), found.ravel())[0, 1] > 0.95


def test_nothing_is_float_and_pixels_need_no_operator(tflite_files):
    files = tflite_files("student")
    operators = operators_of(files.int8)
    # The stem reads one channel, for which float kernels are faster; from there on all is integer.
    assert operators[:4] == ["DEQUANTIZE", "PAD", "DEPTHWISE_CONV_2D", "QUANTIZE"]
    assert not {"CAST", "TRANSPOSE", "RESHAPE", "DEQUANTIZE"} & set(operators[4:])
    assert types_of(files.int8, skip=3) == {"INT8"}
    assert operators_of(files.fp32)[0] == "CAST" and "TRANSPOSE" not in operators_of(files.fp32)
    spec = files.int8_spec
    assert (spec.input_dtype, spec.output.dtype, spec.output.layout, spec.precision) == ("int8", "int8", "NHWC", "int8")


def test_xnnpack_takes_the_whole_integer_file(tflite_files):
    interpreter = Interpreter(str(tflite_files("student").int8))
    interpreter.allocate_tensors()
    details = interpreter._get_ops_details()
    delegates = [each for each in details if each["op_name"] == "DELEGATE"]
    assert len(delegates) == 1, "one partition: no operator between the ends is left to the built-in kernels"
    output = interpreter.get_output_details()[0]["index"]
    assert output in delegates[0]["outputs"]
    assert interpreter.get_input_details()[0]["index"] in delegates[0]["inputs"]


@pytest.mark.parametrize("kind", ["fp32", "int8"])
def test_the_file_holds_no_path_and_no_metadata(tflite_files, kind):
    path = getattr(tflite_files("student"), kind)
    content = path.read_bytes()
    for trace in (b"torch.nn", b".py", b"/work", b"/home", b"CONVERSION_METADATA", b"edgeseg.train"):
        assert trace not in content
    assert not flatbuffer.read(content).metadata


def test_both_integer_files_hold_the_scales_of_one_plan(tflite_files, onnx_files):
    tflite, its_onnx = tflite_files("student"), onnx_files("student")
    assert tflite.plan == its_onnx.plan
    graph = onnx.load(its_onnx.int8).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    in_onnx = set()
    for node in graph.node:
        if node.op_type == "QuantizeLinear":
            in_onnx.add((float(constants[node.input[1]]), int(constants[node.input[2]])))
    model = flatbuffer.read(tflite.int8.read_bytes())
    tensors = model.subgraphs[0].tensors
    in_tflite = set()
    for operator in model.subgraphs[0].operators:
        quantization = tensors[int(operator.outputs[0])].quantization
        if quantization is None or quantization.scale is None:
            continue  # the stem, in float
        in_tflite.add((float(quantization.scale[0]), int(quantization.zeroPoint[0]) + 128))
    assert in_tflite == in_onnx
    scores, its = tflite.int8_spec.output, its_onnx.int8_spec.output
    assert (scores.scale, scores.zero_point + 128) == (its.scale, its.zero_point)
    kernels = {float(step) for name, value in constants.items() if name.endswith(".w_scale") for step in value}
    steps = np.array(sorted(kernels))
    for operator in model.subgraphs[0].operators:
        kernel = tensors[int(operator.inputs[1])].quantization if len(operator.inputs) > 1 else None
        if "CONV" in flatbuffer.operator_name(model, operator) and kernel is not None and kernel.scale is not None:
            nearest = np.abs(steps[:, None] / np.asarray(kernel.scale)[None] - 1).min(axis=0)
            assert nearest.max() < 1e-6


def test_a_float_path_keeps_the_head_in_float(tflite_files, tmp_path):
    files = tflite_files("student")
    plan = replace(files.plan, float_paths=("head",))
    spec = write_int8_tflite(files.model, plan, files.fp32, files.fp32_spec, tmp_path / "m.tflite")
    assert spec.output.dtype == "float32" and "FLOAT32" in types_of(tmp_path / "m.tflite")


def test_a_geometry_without_a_size_is_refused(student, tmp_path):
    with pytest.raises(ExportError, match="fixed-size export needs a size"):
        export_tflite(
            student, tmp_path / "m.tflite", InputSpec("gray", Geometry("native"), student.stride), classes_of(student)
        )


def test_a_file_or_a_plan_of_another_network_is_refused(tflite_files, tmp_path):
    files = tflite_files("student")
    other = network("unet_transposed")
    with pytest.raises(ExportError, match="matches no operation"):
        write_int8_tflite(other, planned(other), files.fp32, files.fp32_spec, tmp_path / "m.tflite")
    short = {key: pair for key, pair in files.plan.ranges.values.items() if key != "head"}
    plan = Plan(Ranges(short, "minmax", 8))
    with pytest.raises(ExportError, match="head has no calibrated range"):
        write_int8_tflite(files.model, plan, files.fp32, files.fp32_spec, tmp_path / "m.tflite")
    assert not list(tmp_path.iterdir())
