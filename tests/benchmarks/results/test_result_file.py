import json
import re
from pathlib import Path

import pytest

from edgeseg.benchmarks.results.result import Caution
from edgeseg.benchmarks.results.result_file import from_json, read_result, to_json, write_result
from edgeseg.runtime.errors import MeasureError

# facts of the field: names that readers of other tools' results look for
ROW_FIELDS = [
    "backend",
    "backend_version",
    "model",
    "precision",
    "input_shape",
    "batch",
    "threads",
    "api",
    "warmup_runs",
    "num_runs",
    "data_transfers",
    "spin_wait",
    "cuda_graph",
    "init_ms",
    "first_inference_ms",
    "latency_ms",
    "stages_ms",
    "throughput_fps",
    "memory_mib",
    "energy_mj",
    "power_w",
    "accuracy",
    "layers",
    "status",
    "reason",
]


@pytest.fixture
def result(make_result, make_row):
    good = make_row("a", [[[1.0, 2.0, 3.0], [1.5, 2.5]], [[4.0], [5.0]]], accuracy={"test": {"dice_mean": 0.71}})
    bad = make_row("b", [], status="unsupported", reason="litert is not installed", cold=None)
    return make_result(good, bad, warnings=(Caution("busy machine", None, "it was busy", "end other programs"),))


def test_the_way_to_a_file_and_back_loses_nothing(result, tmp_path):
    write_result(result, tmp_path / "r.json")
    again = read_result(tmp_path / "r.json")
    assert again == result
    assert to_json(again) == to_json(result)


def test_it_has_the_fields_of_the_tools_people_know(result):
    obj = to_json(result)
    row = obj["rows"][0]
    assert all(name in row for name in ROW_FIELDS)
    assert {"name", "soc", "os", "kernel", "jetpack", "governor", "power_mode", "clocks_locked"} <= obj["device"].keys()
    assert {"min", "mean", "median", "std", "p90", "p95", "p99", "max", "cv", "n"} <= row["latency_ms"].keys()
    assert set(row["stages_ms"]) == {"pre", "infer", "post", "total"}
    assert row["latency_ms"] == row["stages_ms"]["total"]


def test_a_missing_value_is_null_with_its_reason(result):
    row = to_json(result)["rows"][0]
    assert row["energy_mj"] is None and row["null_reasons"]["energy_mj"]
    assert all(row[name] is None for name in row["null_reasons"])
    other = to_json(result)["rows"][1]
    assert other["latency_ms"] is None and other["memory_mib"] is None and other["num_runs"] == 0


def test_every_raw_sample_is_kept_in_whole_nanoseconds(result):
    blocks = to_json(result)["rows"][0]["processes"][0]["blocks"]
    sums = [a + b + c for a, b, c in zip(blocks[0]["pre_ns"], blocks[0]["infer_ns"], blocks[0]["post_ns"], strict=True)]
    assert sums == [1_000_000, 2_000_000, 3_000_000]


def edited(result, change) -> dict:
    obj = json.loads(json.dumps(to_json(result)))
    change(obj)
    return obj


@pytest.mark.parametrize(
    "change",
    [
        lambda o: o.pop("rows"),
        lambda o: o["rows"][0].pop("model"),
        lambda o: o["rows"][0].update(status="great"),
        lambda o: o["rows"][0]["processes"][0]["blocks"][0]["pre_ns"].pop(),
        lambda o: o["rows"][0]["processes"][0]["blocks"][0]["pre_ns"].__setitem__(0, -1),
        lambda o: o["rows"][0]["processes"][0]["blocks"][0]["pre_ns"].__setitem__(0, "fast"),
        lambda o: o["config"].update(threads=0),
        lambda o: o["config"].update(speed=1),
        lambda o: o.update(warnings=[{"check": "x"}]),
        lambda o: o.update(rows=None),
    ],
)
def test_a_damaged_result_is_refused(result, change):
    with pytest.raises(MeasureError, match="damaged or was edited"):
        from_json(edited(result, change))


def test_results_of_version_1_are_read(result):
    """There a row said nothing of its evidence, and nobody else's figures had a place."""

    def as_it_was(document):
        document["schema_version"] = 1
        for row in document["rows"]:
            del row["evidence"], row["told"]

    assert from_json(edited(result, as_it_was)) == from_json(edited(result, lambda _document: None))


def test_a_rows_evidence_is_its_results(result):
    for change in (lambda o: o["rows"][0].update(evidence="emulated"), lambda o: o.update(evidence="measured")):
        with pytest.raises(MeasureError, match="damaged or was edited"):
            from_json(edited(result, change))


def test_another_version_is_refused_with_both_numbers(result):
    with pytest.raises(MeasureError, match=r"schema_version 99, this edgeseg reads 1"):
        from_json(edited(result, lambda o: o.update(schema_version=99)), "old.json")


@pytest.mark.parametrize("obj", [None, [], {}, {"kind": "other"}])
def test_what_is_no_result_is_refused(obj):
    with pytest.raises(MeasureError, match="no benchmark result"):
        from_json(obj)


def test_unreadable_files(tmp_path):
    with pytest.raises(MeasureError, match="cannot be read"):
        read_result(tmp_path / "none.json")
    (tmp_path / "half.json").write_text('{"kind": "edgeseg-bench')
    with pytest.raises(MeasureError, match="cut off"):
        read_result(tmp_path / "half.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MeasureError, match="cannot be read"):
        read_result(tmp_path / "bytes.json")


def test_a_name_that_is_not_there(result):
    with pytest.raises(MeasureError, match=r"no row is named 'c'; this result has a, b"):
        result.row("c")


def test_the_lines_in_measuring_md_compute_the_same_median(result, tmp_path, monkeypatch, capsys):
    write_result(result, tmp_path / "result.json")
    text = (Path(__file__).parents[3] / "docs" / "measuring.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    computed, written = capsys.readouterr().out.split()
    assert float(computed) == pytest.approx(float(written)) == 2.5
