import csv
import io

import pytest

from edgeseg.benchmarks.results.result import Caution
from edgeseg.benchmarks.results.table import COLUMNS, dice_of, table_rows, to_csv, to_text
from edgeseg.benchmarks.results.told import Told
from edgeseg.benchmarks.summary.texts import to_markdown


@pytest.fixture
def result(make_result, make_row):
    accuracy = {"val": {"dice_mean": 0.8}, "test": {"dice_mean": 0.7125}}
    return make_result(
        make_row("onnx-int8", [[[4.0] * 60, [5.0] * 60]], accuracy=accuracy),
        make_row("few", [[[2.0, 3.0]]]),
        make_row("tflite", [], status="unsupported", reason="LiteRT is not installed", cold=None),
        warnings=(Caution("busy machine", None, "it was busy", "end other programs"),),
    )


def test_text(result):
    assert COLUMNS == ("variant", "status", "MB", "Dice", "p50 ms", "p90 ms", "p99 ms", "n", "FPS")
    assert table_rows(result) == [
        ("onnx-int8", "ok", "1.23", "0.713", "4.00", "5.00", "5.00", "120", "250.0"),
        ("few", "ok", "1.23", "-", "2.00", "3.00", "-", "2", "500.0"),
        ("tflite", "unsupported", "1.23", "-", "-", "-", "-", "-", "-"),
    ]
    text = to_text(result)
    assert "tflite: unsupported: LiteRT is not installed" in text
    assert "warning: machine: it was busy (end other programs)" in text


def test_csv(result):
    rows = list(csv.DictReader(io.StringIO(to_csv(result))))
    assert [row["variant"] for row in rows] == ["onnx-int8", "few", "tflite"]
    assert float(rows[0]["p50_ms"]) == 4.0 and float(rows[0]["pre_p50_ms"]) == 0.1
    assert (rows[0]["dice_mean"], rows[0]["dice_split"]) == ("0.7125", "test")
    assert rows[2]["p50_ms"] == "" and rows[2]["n"] == "0" and rows[2]["reason"] == "LiteRT is not installed"


@pytest.mark.parametrize(
    ("accuracy", "dice"),
    [
        (None, (None, None)),
        ({"val": {"dice_mean": 0.5}}, (0.5, "val")),
        ({"dice_mean": 1}, (1.0, None)),
        ({"test": {"dice_mean": None}}, (None, None)),
    ],
)
def test_dice(accuracy, dice, make_row):
    assert dice_of(make_row("a", [], accuracy=accuracy)) == dice


def test_what_another_tool_did_not_count_is_no_zero(make_result, make_row):
    told = [Told("trtexec", "GPU compute time", n=n, p50=2.0, p90=3.0) for n in (90, None)]
    result = make_result(*(make_row(f"n {one.n}", [], told=(one,)) for one in told), evidence="imported")
    rows = list(csv.DictReader(io.StringIO(to_csv(result))))
    assert [row["n"] for row in rows] == ["90", ""] and [row["p90_ms"] for row in rows] == ["3.0", "3.0"]
    assert [cells[-2] for cells in table_rows(result)] == ["90", "-"]
    lines = to_markdown([result]).splitlines()
    assert lines[2].endswith("| 2.00 | 3.00 | - | 90 |") and lines[3].endswith("| 2.00 | 3.00 | - | - |")
