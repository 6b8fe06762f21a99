import csv
import io
import json

import cv2
import pytest
from typer.testing import CliRunner

from edgeseg.benchmarks.cli import app
from edgeseg.benchmarks.results.result_file import read_result, write_result
from edgeseg.export.pack import BundleInfo, VariantSource, pack

QUICK = ["--threads", "1", "--processes", "2", "--blocks", "2", "--seconds", "0.04", "--min-samples", "8"]
QUICK += ["--warmup-cap", "0.2"]


def bench(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def bundle(tmp_path, make_model, spec, frame):
    variants = [
        VariantSource("onnx-fp32", make_model("a"), spec, {"test": {"dice_mean": 0.75}}),
        VariantSource("onnx-wide", make_model("b", 16), spec),
    ]
    pack(tmp_path / "part.edgeseg", BundleInfo("part", "1", "tests only", spec.input), variants, [frame])
    return tmp_path / "part.edgeseg"


def test_run_prints_the_table_and_writes_the_result(bundle, tmp_path):
    done = bench("run", bundle, *QUICK, "--out", tmp_path / "r.json")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["variant", "status", "MB", "Dice", "p50", "ms", "p90", "ms", "p99", "ms", "n", "FPS"]
    assert lines[1].startswith("onnx-fp32") and "0.750" in lines[1]
    result = read_result(tmp_path / "r.json")
    assert [row.name for row in result.rows] == ["onnx-fp32", "onnx-wide"]
    assert result.config.threads == 1


def test_only_a_result_is_replaced(bundle, tmp_path):
    own, foreign = tmp_path / "r.json", tmp_path / "notes.json"
    foreign.write_text("{}")
    run = ("run", bundle, *QUICK, "--variant", "onnx-fp32", "--out")
    assert [bench(*run, own).exit_code for _ in range(2)] == [0, 0]
    done = bench(*run, foreign)
    assert done.exit_code == 2 and "is no bench result" in done.stderr and foreign.read_text() == "{}"
    for more in ((), ("--overwrite",)):
        before = bundle.read_bytes()
        done = bench(*run, bundle, *more)
        assert done.exit_code == 2 and "would replace what is measured" in done.stderr and bundle.read_bytes() == before
    assert bench(*run, foreign, "--overwrite").exit_code == 0 and read_result(foreign)


def test_a_result_that_cannot_be_written_is_printed_all_the_same(bundle, tmp_path):
    (tmp_path / "file").touch()
    done = bench("run", bundle, *QUICK, "--variant", "onnx-fp32", "--out", tmp_path / "file" / "r.json")
    assert done.exit_code == 1 and "onnx-fp32" in done.stdout and "Cannot write" in done.stderr


def test_json_is_the_whole_result_and_nothing_else_is_on_stdout(bundle, tmp_path, frame):
    cv2.imwrite(str(tmp_path / "part.png"), frame)
    done = bench("run", bundle, *QUICK, "--variant", "onnx-wide", "--frame", tmp_path / "part.png", "--json")
    obj = json.loads(done.stdout)
    assert [row["name"] for row in obj["rows"]] == ["onnx-wide"] and obj["frame"]["name"] == "part.png"


def test_csv(bundle):
    done = bench("run", bundle, *QUICK, "--variant", "onnx-fp32", "--csv")
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    assert float(row["p50_ms"]) > 0 and row["dice_mean"] == "0.75"


def test_a_failing_variant_is_a_row_and_exit_code_1(make_model, spec, tmp_path):
    folder = make_model("student").parent
    (folder / "spec.json").write_text(json.dumps(spec.to_json()))
    (folder / "model.onnx").write_bytes(b"no model")
    done = bench("run", folder, *QUICK)
    assert done.exit_code == 1
    assert done.stdout.splitlines()[1].startswith("student")
    assert "student: " in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run", "none.edgeseg"], 1, "no such file"),
        (["run", "BUNDLE", "--variant", "other"], 2, "there are onnx-fp32, onnx-wide"),
        (["run", "BUNDLE", "--threads", "0"], 2, "threads is 0"),
        (["run", "BUNDLE", "--out", "."], 2, "is a folder"),
        (["run", "BUNDLE", "--json", "--csv"], 2, "exclude each other"),
        (["run", "BUNDLE", "--frame", "none.png"], 1, "none.png"),
        (["run"], 2, "Missing argument"),
        (["run", "BUNDLE", "--speed"], 2, "No such option"),
        (["compare", "a.json", "b.json", "c.json"], 2, "takes one or two"),
        (["compare", "a.json"], 2, "--a and --b"),
        (["compare", "a.json", "b.json"], 1, "cannot be read"),
    ],
)
def test_exit_codes_and_messages(arguments, code, words, bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = bench(*[bundle if argument == "BUNDLE" else argument for argument in arguments])
    assert done.exit_code == code
    assert words in " ".join(done.stderr.split()) and done.stdout == ""


@pytest.fixture
def results(make_result, make_row, noisy, tmp_path):
    first = make_result(make_row("slow", noisy(8.0, 1)), make_row("fast", noisy(4.0, 2)))
    second = make_result(make_row("slow", noisy(8.1, 3)), make_row("fast", noisy(6.0, 4)))
    write_result(first, tmp_path / "a.json")
    write_result(second, tmp_path / "b.json")
    return tmp_path


def test_compare_two_variants_of_one_result(results):
    done = bench("compare", results / "a.json", "--a", "slow", "--b", "fast")
    assert done.exit_code == 0 and "fast: faster: the 95 % interval" in done.stdout
    (found,) = json.loads(bench("compare", results / "a.json", "--a", "slow", "--b", "fast", "--json").stdout)
    assert found["verdict"] == "faster" and found["lo95"] < found["ratio"] < found["hi95"]


def test_compare_two_files(results):
    found = json.loads(bench("compare", results / "a.json", results / "b.json", "--json").stdout)
    assert {one["b"]: one["verdict"] for one in found} == {"slow": "inconclusive", "fast": "slower"}


def test_a_gate_on_being_slower_is_exit_code_3(results):
    gate = "--fail-if-slower"
    assert bench("compare", results / "a.json", "--a", "slow", "--b", "fast", gate).exit_code == 0
    done = bench("compare", results / "a.json", results / "b.json", gate)
    assert done.exit_code == 3 and "slower than the reference: fast" in done.stderr
    assert "verdict on B" in done.stdout  # the table is there all the same


def test_env():
    assert "cpu_model" in bench("env").stdout
    assert {"device", "software", "state"} == set(json.loads(bench("env", "--json").stdout))


@pytest.mark.parametrize("command", ["run", "compare", "env"])
def test_help_has_an_example(command):
    done = bench(command, "--help")
    assert done.exit_code == 0 and "Example: edgeseg bench" in " ".join(done.stdout.split())


def test_help_states_the_defaults():
    text = " ".join(bench("run", "--help").stdout.split())
    own = ("Default: 10; with --meter 15.", "Default: 5; with --gate 10.", "Default: 30.", "Default: 662")
    text = text.replace("│ ", "").replace(" │", "")
    for default in ("[default: all]", "[default: 2]", *own):
        assert default in text


def test_formats_is_a_line_each(bundle):
    for name in ("formats", "benchmark"):
        done = bench(name, bundle, "--threads", "1")
        assert done.exit_code == 0, done.output
        lines = done.stdout.splitlines()
        assert lines[0].split() == ["format", "status", "MB", "Dice", "mIoU", "ms", "FPS"]
        assert lines[1].startswith("onnx-fp32") and "0.750" in lines[1] and lines[2].startswith("onnx-wide")


def test_a_quick_look_says_so_and_other_tools_names_are_taken(bundle):
    names = ["--num_threads", "1", "--num_runs", "8", "--warmup_runs", "1"]
    done = bench("run", bundle, "--variant", "onnx-fp32", "--quick", *names, "--json")
    document = json.loads(done.stdout)
    assert document["config"]["quick"] and document["config"]["threads"] == 1 and document["config"]["rewarm"] == 1
    assert "quick look" in [warning["check"] for warning in document["warnings"]]
