"""What delegates would refuse, by their documents: our forms of files, and files of others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeseg.export.formats import Origin, write_quantised
from edgeseg.export.tflite import flatbuffer
from edgeseg.export.tflite.delegates import taken_by_delegates
from edgeseg.runtime.errors import ExportError


def refusals(content: bytes) -> dict[str, dict[str, str]]:
    """Reason by operator, by delegate."""
    found = taken_by_delegates(content, "model.tflite")
    return {one.delegate: {its.operator: its.reason for its in one.refusals} for one in found}


def test_float_files_are_refused_the_cast_of_pixels_alone_and_nnapi_takes_it(tflite_files) -> None:
    files = tflite_files("student")
    found = refusals(files.fp32.read_bytes())
    assert found["XNNPACK"] == {"CAST": "not among its operators"}
    assert found["GPU"]["CAST"] == "not among its operators"
    assert "CAST" not in found["NNAPI"] and not {"CONV_2D", "DEPTHWISE_CONV_2D", "PAD"} & found["NNAPI"].keys()


def test_each_form_is_refused_what_its_types_are_refused(tflite_files, tmp_path) -> None:
    files = tflite_files("student")
    origin, content = Origin(files.model, files.plan, files.fp32, files.fp32_spec), {}
    for form in ("fp16", "dynamic", "int16x8"):
        write_quantised("tflite", origin, tmp_path / form, form)
        content[form] = (tmp_path / form).read_bytes()
    plain = taken_by_delegates(files.fp32.read_bytes(), "fp32")
    assert [one.n_operators for one in taken_by_delegates(content["fp16"], "fp16")] == [
        one.n_operators for one in plain
    ]
    assert refusals(content["fp16"])["XNNPACK"] == refusals(files.fp32.read_bytes())["XNNPACK"]
    assert refusals(content["dynamic"])["XNNPACK"]["CONV_2D"] == "dynamic range quantization is not supported"
    assert "CONV_2D" not in refusals(content["dynamic"])["NNAPI"]
    assert {its["CONV_2D"] for its in refusals(content["int16x8"]).values()} == {"16-bit activations"}
    integers = refusals(files.int8.read_bytes())
    assert integers["XNNPACK"] == {} and "CONV_2D" not in integers["GPU"]


def test_versions_missing_biases_and_wide_concatenations_are_told(tflite_files) -> None:
    model = flatbuffer.read(tflite_files("student").fp32.read_bytes())
    names = {flatbuffer.operator_name(model, one): one for one in model.subgraphs[0].operators}
    model.operatorCodes[names["RESIZE_BILINEAR"].opcodeIndex].version = 4
    names["CONV_2D"].inputs = names["CONV_2D"].inputs[:2]
    names["CONCATENATION"].inputs = [names["CONCATENATION"].inputs[0]] * 5
    found = refusals(flatbuffer.write(model))
    assert found["GPU"]["RESIZE_BILINEAR"] == found["NNAPI"]["RESIZE_BILINEAR"] == "version 4, it takes up to 3"
    assert found["XNNPACK"]["CONV_2D"] == found["NNAPI"]["CONV_2D"] == "no bias"
    assert found["XNNPACK"]["CONCATENATION"] == "5 inputs, it takes up to 4"


def test_what_is_no_tflite_file_is_refused_with_its_name() -> None:
    with pytest.raises(
        ExportError, match=r"photo\.jpg is no TFLite file that can be read: it does not begin with TFL3"
    ):
        taken_by_delegates(b"\xff\xd8\xff\xe0 and more", "photo.jpg")
    with pytest.raises(ExportError, match=r"cut\.tflite is no TFLite file that can be read"):
        taken_by_delegates(b"\x1c\x00\x00\x00TFL3", "cut.tflite")


def test_the_command_reads_files_and_bundles(tflite_files, tmp_path: Path) -> None:
    commands = pytest.importorskip("edgeseg.pipeline.commands.delegates")
    files = tflite_files("student")
    report = commands.delegates_report(files.int8)
    assert json.loads(json.dumps(report)) == report and list(report["files"]) == ["int8.tflite"]
    total = report["files"]["int8.tflite"][0]["n_operators"]
    assert f"XNNPACK: takes {total} of {total} operators" in commands.delegates_text(report)
    with pytest.raises(ExportError, match=r"cannot read .*none\.tflite"):
        commands.delegates_report(tmp_path / "none.tflite")
