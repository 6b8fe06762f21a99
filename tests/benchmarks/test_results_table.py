import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "tables" / "results_table.py"
spec = importlib.util.spec_from_file_location("results_table", SCRIPT)
results_table = importlib.util.module_from_spec(spec)
spec.loader.exec_module(results_table)

DROP = {"mean": 0.007, "lo95": -0.015, "hi95": 0.029, "verdict": "not shown"}
REPORT = {
    "command": "edgeseg run recipes/ultrasound.yaml",
    "created": "2026-11-21T10:00:00+00:00",
    "edgeseg_version": "0.1.0",
    "git_commit": "0123456789abcdef",
    "recipe": {"name": "ultrasound"},
    "machine": {"cpu_model": "Example CPU"},
    "shipped": {"step": "onnx_int8", "variant": "onnx-int8-x86"},
    "steps": [
        {"name": "teacher", "parent": None, "status": "ok", "bytes": 30_000_000},
        {
            "name": "onnx_int8",
            "parent": "teacher",
            "status": "ok",
            "bytes": 600_000,
            "accuracy": {"val": {"dice_mean": 0.73}, "test": {"dice_mean": 0.72}},
            "dice_drop_vs_teacher": {"test": DROP},
            "latency_ms": {"total": {"p50": 3.294}},
            "speedup_vs_teacher": {"ratio": 34.2, "lo95": 32.1, "hi95": 35.9},
        },
    ],
}


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    path = tmp_path / "ultrasound.json"
    path.write_text(json.dumps(REPORT))
    return path


def run(*arguments: object):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_child_stands_below_its_own_parent_and_warnings_are_told(recorded):
    steps = [{"name": name, "parent": "teacher", "status": "ok"} for name in ("alone", "distilled")]
    steps = [REPORT["steps"][0], *steps, {"name": "pruned", "parent": "alone", "status": "ok"}]
    warning = {"kind": "no_skill", "step": "teacher", "message": "it has learned nothing", "remedy": "more epochs"}
    recorded.write_text(json.dumps(REPORT | {"steps": steps, "warnings": [warning, warning | {"step": None}]}))
    text = run(recorded).stdout
    rows = [line.split(" | ")[0].strip("| ").replace("&nbsp;", " ") for line in text.splitlines() if "| ok" in line]
    assert rows == ["teacher", "└ alone", "  └ pruned", "└ distilled"]
    assert "Warning: teacher: it has learned nothing." in text and "Warning: val: it has learned nothing." in text


def test_headline_and_rows(recorded):
    text = run(recorded).stdout
    assert (
        "`onnx-int8-x86` ships: 34.2 (32.1 to 35.9) times the teacher's speed, 50.0 times smaller, "
        "test Dice drop +0.7 (−1.5 to +2.9, not shown) points." in text
    )
    cells = ["**└ onnx_int8**", "ok, ships", "0.730", "0.720", "+0.7 (−1.5 to +2.9, not shown)", "0.60", "3.29"]
    assert f"| {' | '.join(cells)} | 34.2 (32.1 to 35.9) |" in text
    assert "2026-11-21, edgeseg 0.1.0, commit `0123456789`, Example CPU" in text
    assert str(recorded.parent) not in text


def test_costs_are_against_the_reference_where_the_run_had_one():
    """In records without one they were against the teacher, as above."""
    teacher, shipped = REPORT["steps"]
    none = {"val": None, "test": None}
    reference = {"name": "reference", "parent": None, "status": "ok", "bytes": 31_200_000, "accuracy": none}
    rows = [reference | {"speedup_vs_reference": None}, teacher | {"speedup_vs_reference": {"ratio": 1.5}}]
    rows += [{key: value for key, value in shipped.items() if key != "speedup_vs_teacher"}]
    rows[-1] |= {"speedup_vs_reference": {"ratio": 60.1}}
    text = results_table.results_text(
        REPORT | {"steps": rows, "recipe": {"settings": {"reference": {"base": 32}}}}, Path("x.json")
    )
    assert "`onnx-int8-x86` ships: 60.1 times the reference's speed, 52.0 times smaller, test" in text
    assert "| reference | ok | – | – | – | 31.20 | – | – |" in text
    assert "against `reference`, a plain U-Net in FP32 (base 32), same engine, never trained." in text
    assert "against `reference`" not in results_table.results_text(REPORT, Path("x.json"))
    assert "| teacher | ok | – | – | – | 30.00 | – | 1.5 |" in text


def test_what_is_missing_is_a_dash():
    text = results_table.results_text({"steps": [{"name": "teacher"}]}, Path("docs/results/x.json"))
    assert "Nothing ships: no reason given." in text
    assert "| teacher | not measured | – | – | – | – | – | – |" in text


def test_a_circle_of_parents_ends():
    rows = [{"name": "a", "parent": "b"}, {"name": "b", "parent": "a"}, {"name": "c"}]
    text = results_table.results_text({"steps": rows}, Path("x.json"))
    assert [text.count(f"| {name} |") for name in "abc"] == [1, 1, 1]


def test_into_a_document_and_check(recorded, tmp_path):
    document = tmp_path / "README.md"
    document.write_text("before\n<!-- results -->\nold\n<!-- /results -->\nafter\n")
    assert run(recorded, "--into", document, "--check").returncode == 1
    assert "old" in document.read_text()
    assert run(recorded, "--into", document).returncode == 0
    text = document.read_text()
    assert text.startswith("before\n<!-- results -->\n**ultrasound**")
    assert text.endswith("<!-- /results -->\nafter\n")
    assert run(recorded, "--into", document, "--check").returncode == 0


def test_a_document_without_the_block_is_refused(recorded, tmp_path):
    document = tmp_path / "README.md"
    document.write_text("nothing")
    done = run(recorded, "--into", document)
    assert done.returncode == 2
    assert "<!-- /results -->" in done.stderr
    assert document.read_text() == "nothing"


def test_no_json_is_an_error(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("{")
    assert run(path).returncode == 2
    assert run(tmp_path / "none.json").returncode == 2


def test_regions_and_reasons_where_there_are_good_frames():
    found = {"region_recall": 0.8642, "small_region_recall": 0.5, "false_regions_per_negative_frame": 0.25}
    rows = [
        {"name": "teacher", "status": "ok", "accuracy": {"test": found}},
        {"name": "student", "status": "refused", "reason": "too far below", "accuracy": {"test": None}},
        {"name": "trt", "status": "not measured", "reason": "TensorRT is missing", "accuracy": {"test": None}},
    ]
    text = results_table.results_text({"steps": rows}, Path("docs/results/x.json"))
    assert "| teacher | 0.86 | 0.50 | 0.25 |" in text
    assert "| student | –" not in text.split("regions on test")[1]
    assert "student is refused: too far below." in text and "trt is not measured: TensorRT is missing." in text


def test_no_region_table_without_good_frames(recorded):
    assert "regions on test" not in run(recorded).stdout
