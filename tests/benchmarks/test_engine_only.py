"""Foreign files timed in real engines by themselves: fed by their own inputs, and never taken for a pipeline."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from edgeseg.benchmarks.cli import app
from edgeseg.benchmarks.compare import compare_results, compare_rows
from edgeseg.benchmarks.engine_only.files import distinct_names
from edgeseg.benchmarks.engine_only.spec import EngineSpec
from edgeseg.benchmarks.engine_only.tensors import Sizes, Tensor, made_up, resolved
from edgeseg.benchmarks.results.result_file import read_result, to_json
from edgeseg.runtime.errors import ConfigError, MeasureError

PROBES = Path(__file__).parents[2] / "runtime/edgeseg/runtime/probes"
QUICK = ["--threads", "1", "--processes", "2", "--blocks", "2", "--seconds", "0.04", "--min-samples", "8"]
QUICK += ["--warmup-cap", "0.2"]


def bench(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def many(tmp_path):
    """An ONNX file of four inputs (images, halves, a count, a truth) and two outputs."""
    inputs = [
        helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, "H", "W"]),
        helper.make_tensor_value_info("half", TensorProto.FLOAT16, [2, 4]),
        helper.make_tensor_value_info("count", TensorProto.INT64, []),
        helper.make_tensor_value_info("flag", TensorProto.BOOL, [1]),
    ]
    nodes = [
        helper.make_node("Relu", ["image"], ["y"]),
        helper.make_node("Cast", ["half"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["wide"], ["total"], keepdims=0),
        helper.make_node("Cast", ["count"], ["n"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["total", "n"], ["sum"]),
        helper.make_node("Not", ["flag"], ["z"]),
    ]
    outputs = [
        helper.make_tensor_value_info(name, kind, None)
        for name, kind in (("y", TensorProto.FLOAT), ("sum", TensorProto.FLOAT), ("z", TensorProto.BOOL))
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "many", inputs, outputs), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    path = tmp_path / "many.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_onnx_and_tflite_take_turns_and_the_result_says_what_it_is(tmp_path):
    done = bench("run", PROBES / "fp32.onnx", PROBES / "int8.tflite", *QUICK, "--out", tmp_path / "r.json")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].startswith("engine only") and "runs/s" in lines[1] and "FPS" not in lines[1]
    assert "fp32.onnx: fed " in done.stdout and "uint8" in done.stdout
    obj = json.loads((tmp_path / "r.json").read_text())
    assert (obj["pipeline"], obj["evidence"], obj["frame"]) == ("engine only", "device", None)
    for row in obj["rows"]:
        assert row["stages_ms"]["pre"] is None and row["stages_ms"]["post"] is None
        assert row["stages_ms"]["total"] == row["stages_ms"]["infer"] == row["latency_ms"]
        assert row["throughput_fps"] is None and row["precision"] is None and "throughput_fps" in row["null_reasons"]
        assert row["engine_only"]["inputs"] and row["engine_only"]["values"] == "random"
        assert {len(process["blocks"]) for process in row["processes"]} == {2}
    assert [row["backend_version"].split()[0] for row in obj["rows"]] == ["onnxruntime", "ai-edge-litert"]
    assert json.loads(json.dumps(to_json(read_result(tmp_path / "r.json")))) == obj


def test_inputs_of_every_kind_with_their_open_sizes_said(many):
    done = bench("run", many, *QUICK, "--size", "8x12", "--json")
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)["rows"]
    assert [(one["dtype"], one["shape"]) for one in row["engine_only"]["inputs"]] == [
        *(("float32", [1, 3, 8, 12]), ("float16", [2, 4])),
        *(("int64", []), ("bool", [1])),
    ]
    shaped = bench("run", many, *QUICK, "--shape", "image=2x3x8x8", "--zeros", "--csv")
    (cells,) = csv.DictReader(io.StringIO(shaped.stdout))
    assert cells["pipeline"] == "engine only" and cells["fps"] == cells["pre_p50_ms"] == ""
    assert cells["p50_ms"] == cells["infer_p50_ms"] != ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "leaves sizes open: image float32 Nx3xHxW. Give --size HxW, or --shape image=1x3x8x8"),
        (["--size", "8"], "--size is '8'"),
        (["--shape", "image=1x3xHx8"], "give NAME=1x3x224x224"),
        (["--shape", "image=1x4x8x8"], "takes image float32 Nx3xHxW: give a shape that fits"),
        (["--shape", "image=3x8x8"], "give a shape that fits"),
        (["--shape", "images=1x3x8x8"], "leaves sizes open"),
        (["--shape", "images=1x3x8x8", "--size", "8x8"], "no file has an input of that name; there are count, flag"),
        (["--size", "8x8", "--frame", "a.png"], "takes tensors, no images"),
        (["--size", "8x8", "--variant", "b"], "there is no b; there are many.onnx"),
    ],
)
def test_what_is_open_or_wrong_is_said(options, words, many):
    done = bench("run", many, *QUICK, *options)
    assert done.exit_code == 2 and words in " ".join(done.stderr.split()) and done.stdout == ""


def test_an_engine_alone_is_never_set_against_a_pipeline(make_result, make_row, noisy):
    alone = EngineSpec("onnxruntime", (Tensor("x", "float32", (1, 3, 8, 8)),))
    larger = EngineSpec("onnxruntime", (Tensor("x", "float32", (1, 3, 16, 16)),))
    row = make_row("a", noisy(4.0, 1))
    engine = make_result(
        make_row("a", noisy(4.0, 2), engine_only=alone), make_row("b", noisy(2.0, 3), engine_only=larger), frame=None
    )
    whole = make_result(row)
    for pair in ((engine, whole), (whole, engine)):
        with pytest.raises(MeasureError, match="never compared"):
            compare_results(*pair)
    within = compare_rows(engine, "a", "b")
    assert within.verdict == "faster" and any("inputs differ" in note for note in within.notes)
    again = make_result(make_row("a", noisy(4.0, 4), engine_only=alone), frame=None)
    (found,) = compare_results(engine, again)
    assert found.verdict == "inconclusive" and found.notes[0].startswith("engine only")
    other = make_result(make_row("a", noisy(4.0, 4), engine_only=larger), frame=None)
    with pytest.raises(MeasureError, match="measure both with one --size"):
        compare_results(engine, other)


def test_a_file_of_a_step_still_runs_as_a_pipeline(make_model, spec, tmp_path):
    model = make_model("student")
    foreign = tmp_path / "foreign.onnx"
    shutil.copy(model, foreign)
    (model.parent / "spec.json").write_text("\ufeff" + json.dumps(spec.to_json()))
    obj = json.loads(bench("run", model, *QUICK, "--json").stdout)
    assert obj["pipeline"] == "pre + infer + post" and obj["rows"][0]["name"] == "student"
    mixed = bench("run", model, foreign, *QUICK)
    assert mixed.exit_code == 2 and "they are never compared" in mixed.stderr
    alone = json.loads(bench("run", model, foreign, *QUICK, "--engine-only", "--size", "8x8", "--json").stdout)
    assert alone["pipeline"] == "engine only"
    assert [row["name"] for row in alone["rows"]] == ["model.onnx", "foreign.onnx"]
    assert alone["rows"][0]["engine_only"]["inputs"][0]["shape"] == [1, 8, 8, 1]


def test_a_broken_file_is_a_row_and_its_engine_is_quoted_to_the_end(make_model, tmp_path):
    path = make_model("a")
    model = onnx.load(path)
    model.ir_version = 99
    onnx.save(model, tmp_path / "new.onnx")
    done = bench("run", tmp_path / "new.onnx", path, *QUICK, "--size", "8x8")
    assert done.exit_code == 1
    assert "max supported IR version" in done.stdout
    assert any(line.startswith("model.onnx") and " ok " in line for line in done.stdout.splitlines())


def test_other_kinds_of_files_are_named(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    done = bench("run", tmp_path / "a.onnx", *QUICK)
    assert done.exit_code == 1 and "a Git LFS pointer" in done.stderr
    shutil.copy(PROBES / "fp32.tflite", tmp_path / "b.onnx")  # under a wrong name it still runs
    assert bench("run", tmp_path / "b.onnx", *QUICK).exit_code == 0


def test_weights_beside_the_file_count(tmp_path):
    weights = numpy_helper.from_array(np.ones((64, 64), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 64])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    obj = json.loads(bench("run", tmp_path / "m.onnx", *QUICK, "--json").stdout)
    assert obj["rows"][0]["model"]["bytes"] == sum((tmp_path / name).stat().st_size for name in ("m.onnx", "m.data"))
    (tmp_path / "m.data").unlink()
    done = bench("run", tmp_path / "m.onnx", *QUICK)
    assert done.exit_code == 1 and "keeps weights in m.data" in done.stderr


def test_names_tell_files_apart():
    assert distinct_names([Path("a/n.onnx"), Path("b/n.onnx"), Path("a/n.onnx")]) == [
        "a/n.onnx",
        "b/n.onnx",
        "a/n.onnx#2",
    ]
    assert distinct_names([Path("a/n.onnx"), Path("a/m.onnx")]) == ["n.onnx", "m.onnx"]


def test_values_repeat_and_stay_in_range():
    image, ids = Tensor("x", "float16", (1, 4)), Tensor("ids", "int64", (2,))
    assert np.array_equal(made_up(image, "random"), made_up(image, "random"))
    assert made_up(image, "random").dtype == np.float16 and 0 <= made_up(image, "random").min() < 1
    assert not made_up(image, "zeros").any() and not made_up(ids, "random").any()
    assert len(np.unique(made_up(Tensor("q", "int8", (5000,)), "random"))) == 256


def test_which_axes_are_an_image():
    sizes = Sizes.parse("8x12", [])
    for shape, found in (
        (("N", 3, "h", "w"), (1, 3, 8, 12)),
        (("N", "h", "w", 1), (1, 8, 12, 1)),
        ((2, 3, 8, "w"), (2, 3, 8, 12)),
    ):
        assert resolved([Tensor("x", "float32", shape)], sizes, "f")[0].shape == found
    with pytest.raises(ConfigError, match="--shape x=1x8x8x8"):
        resolved([Tensor("x", "float32", ("N", "c", "h", "w"))], sizes, "f")
    with pytest.raises(ConfigError, match="--size says 8x12, but f takes x float32 1x3x8x8"):
        resolved([Tensor("x", "float32", (1, 3, 8, 8))], sizes, "f")


def test_neither_torch_nor_onnx_is_needed():
    code = (
        "import sys\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'onnx', 'yaml', 'lightning'): raise ImportError(name)\n"
        "sys.meta_path.insert(0, Block())\n"
        "from edgeseg.benchmarks.cli import app\n"
        "app(sys.argv[1:])\n"
    )
    arguments = ["run", str(PROBES / "fp32.onnx"), *QUICK, "--json"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"][0]["status"] == "ok"
