"""Several results on one page and as text."""

import dataclasses
import re

import numpy as np
import pytest
from typer.testing import CliRunner

from edgeseg.benchmarks.cli import app
from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.engine_only.spec import EngineSpec
from edgeseg.benchmarks.engine_only.tensors import Tensor
from edgeseg.benchmarks.meters.contract import Sensor
from edgeseg.benchmarks.meters.energy import Energy
from edgeseg.benchmarks.meters.trace import PowerTrace, Stretch
from edgeseg.benchmarks.results.result import BenchResult, TestFrame
from edgeseg.benchmarks.results.result_file import to_json, write_result
from edgeseg.benchmarks.results.samples import Look
from edgeseg.benchmarks.results.table import to_csv
from edgeseg.benchmarks.results.told import Told
from edgeseg.benchmarks.summary.entries import bests_of, entries_of, front_of
from edgeseg.benchmarks.summary.page import to_html
from edgeseg.benchmarks.summary.texts import to_markdown, to_prometheus


@pytest.fixture
def results(make_result, make_row, noisy):
    def row(name, ms, dice, seed):
        return make_row(name, noisy(ms, seed), accuracy={"test": {"dice_mean": dice}})

    pi = make_result(
        row("fp32", 20.0, 0.800, 1),
        row("int8", 8.0, 0.795, 2),
        row("tiny", 3.0, 0.700, 3),
        row("slow", 30.0, 0.790, 4),
        make_row("trt", [], status="unsupported", reason="no TensorRT | <here>"),
    )
    pi = dataclasses.replace(pi, device={**pi.device, "name": "Raspberry Pi 5"})
    jetson = make_result(row("fp32", 4.0, 0.800, 5), evidence="replayed")
    return [pi, dataclasses.replace(jetson, device={**jetson.device, "name": "Jetson"})]


def test_the_one_to_name_is_fast_and_close_to_the_best(results):
    entries = entries_of(results[:1])
    assert [best.row.name for best in bests_of(entries)] == ["int8"]  # half a point behind, and more than twice as fast
    assert [entry.row.name for entry in front_of(entries)] == ["fp32", "int8", "tiny"]
    assert [best.machine for best in bests_of(entries_of(results))] == [
        "Raspberry Pi 5"
    ]  # the Jetson is faster, in a recording
    on_device = dataclasses.replace(results[1], evidence="device")
    assert [best.machine for best in bests_of(entries_of([results[0], on_device]))] == ["Jetson"]


@pytest.fixture
def unlike(make_result, make_row, noisy):
    """One file of one machine on a frame, on a larger one, with more threads, and scored on another split."""

    def one(ms, threads=2, split="test", frame=None, dice=0.8):
        row = make_row("fp32", noisy(ms, 1), accuracy={split: {"dice_mean": dice}}, threads=threads)
        return make_result(row, **({"frame": frame} if frame else {}))

    larger = TestFrame("large.png", "ef" * 32, (96, 128))
    return [one(8.0), one(32.0, frame=larger), one(5.0, threads=4), one(8.1, split="val", dice=0.9)]


def test_there_is_no_verdict_across_frames_threads_and_splits(unlike):
    entries = entries_of(unlike)
    assert bests_of(entries) == [entries[0], entries[3], entries[1], entries[2]]
    assert front_of(entries) == entries  # though one is faster, and another better
    page = to_html(unlike)
    assert len(re.findall("fp32 takes", page)) == 4
    for words in ("large.png 96x128 efefef, threads 2", "part.png 48x64 cdcdcd, threads 4", "(val)"):
        assert words in page, words
    assert [entry.several for entry in entries_of(unlike[:1])] == [False]


def test_frame_threads_and_split_are_shown(unlike):
    lines = to_markdown(unlike).splitlines()
    assert lines[0].startswith("| machine | variant | evidence | status | frame | threads | MB | Dice | split |")
    assert "| ok | large.png 96x128 efefef | 2 |" in lines[3] and "| 0.900 | val |" in lines[5]
    text = to_prometheus(unlike)
    names = [line.rpartition(" ")[0] for line in to_prometheus(unlike[:3]).splitlines() if not line.startswith("#")]
    assert len(set(names)) == len(names)
    assert 'frame="large.png 96x128 efefef",threads="2"' in text and 'split="val"' in text and 'split="test"' in text
    assert to_csv(unlike[1]).splitlines()[1].endswith(",large.png 96x128 efefef")


def test_engines_alone_are_compared_for_as_many_values(make_result, make_row, noisy):
    def row(name, ms, *shape):
        return make_row(name, noisy(ms, 1), engine_only=EngineSpec("onnxruntime", (Tensor("x", "float32", shape),)))

    rows = row("onnx", 4.0, 1, 3, 32, 48), row("tflite", 3.0, 1, 32, 48, 3), row("large", 9.0, 1, 3, 64, 96)
    found = bests_of(entries_of([make_result(*rows, frame=None)]))
    assert [best.row.name for best in found] == ["tflite", "large"]


def test_unlike_machines_of_one_name_are_told_apart(make_result, make_row):
    first = make_result(make_row("a", [[[1.0]]]))
    second = dataclasses.replace(first, device={**first.device, "memory_mib": 1})
    names = [entry.machine for entry in entries_of([first, second, first])]
    assert names[0] == names[2] and names[1] == f"{names[0]} (2)"


def test_the_page_has_its_parts_and_fetches_nothing(results):
    page = to_html(results, ["edgeseg bench report a.json"])
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings == ["Accuracy against cost", "Distributions", "Stages", "Environment", "Commands"]
    assert "int8 takes" in page and "on Raspberry Pi 5" in page and "evidence: device" in page and "replayed" in page
    assert "no TensorRT | &lt;here&gt;" in page and "none: no power meter was named" in page
    assert not re.search(r'(?:src|href)="http|<script', page)


def test_only_like_is_named_the_fastest(make_result, make_row, noisy):
    whole = make_result(make_row("whole", noisy(9.0, 1)))
    alone = dataclasses.replace(make_result(make_row("alone", noisy(4.0, 2))), frame=None)
    told = make_row("told", [], told=(Told("trtexec", "GPU compute time", p50=1.0),))
    imported = dataclasses.replace(make_result(told), evidence="imported", frame=None)
    tried = ([imported, alone, whole], [imported, alone], [imported])
    assert [[best.row.name for best in bests_of(entries_of(some))] for some in tried] == [
        ["whole"],
        ["alone"],
        ["told"],
    ]


def test_an_energy_says_that_its_meter_was_a_recording(make_result, make_row, monkeypatch):
    energy = Energy(12.0, 6.0, 4.0, 2.0, 2.0, 20.0, 1000, 100, None)
    monkeypatch.setattr(BenchResult, "energy", lambda _self, _row: energy)
    sensor = Sensor("replay", "recording", ("all",), "nothing here", "power_w", 50.0, None, "none", "replayed")
    power = PowerTrace(sensor, (0, 1), (4.0, 4.0), 0, None, Stretch(0, 1), Stretch(0, 1))
    result = make_result(make_row("a", [[[4.0] * 10]] * 5), power=power)
    assert result.energy_evidence == "replayed" and to_json(result)["rows"][0]["energy"]["evidence"] == "replayed"
    assert "| 12 (replayed) |" in to_markdown([result]) and "energy [mJ] 12 (replayed)" in to_html([result])
    (joules,) = re.findall(r"^edgeseg_energy_joules.*$", to_prometheus([result]), re.MULTILINE)
    assert 'evidence="replayed"' in joules and 'evidence="device"' in to_prometheus([result])
    assert ",replay,replayed," in to_csv(result)
    emulated = dataclasses.replace(result, evidence="emulated")  # the weaker of both
    assert emulated.energy_evidence == "emulated"


def test_a_recording_alone_names_nothing(results):
    page = to_html(results[1:])
    assert "Nothing was measured on a device" in page and "fp32 takes" not in page and "4.0" in page


def test_a_sustained_run_has_its_curves(make_result, make_row):
    row = make_row("a", [[np.full(5, 4.0), np.full(5, 5.0)]])
    blocks = tuple(
        dataclasses.replace(block, start_ns=k * 60 * 10**9, end_ns=(k + 1) * 60 * 10**9)
        for k, block in enumerate(row.processes[0].blocks)
    )
    looks = (Look(0, 50.0, 0, None, None), Look(70 * 10**9, 80.0, 1, None, None))
    process = dataclasses.replace(row.processes[0], blocks=blocks, origin_ns=0, looks=looks)
    result = make_result(dataclasses.replace(row, processes=(process,)), config=HarnessConfig(scenario="sustained"))
    page = to_html([result])
    assert "Under load" in page and "last minute / first 1.250; throttled after 70 s" in page


def test_markdown_and_prometheus(results):
    lines = to_markdown(results).splitlines()
    assert lines[0].startswith("| machine | variant | evidence |") and lines[1].startswith("| --- |")
    assert len([line for line in lines if line.startswith("| ")]) == 2 + 6
    assert "- trt on Raspberry Pi 5: unsupported: no TensorRT \\| &lt;here>" in lines
    text = to_prometheus(results)
    found = re.findall(r'^edgeseg_latency_seconds\{.*variant="int8".*quantile="0.5"\} (\S+)$', text, re.MULTILINE)
    assert float(found[0]) == pytest.approx(0.008, rel=0.05)
    assert "# TYPE edgeseg_dice_ratio gauge" in text and "energy_joules" not in text
    assert all(re.fullmatch(r"# .*|edgeseg_\w+\{[^{}]*\} \S+", line) for line in text.splitlines())


def test_the_ending_says_what_is_written(results, tmp_path):
    paths = [tmp_path / f"{n}.json" for n in range(2)]
    for result, path in zip(results, paths, strict=True):
        write_result(result, path)
    run = CliRunner()
    for ending, start in (
        (".html", "<!doctype html>"),
        (".md", "| machine"),
        (".csv", "variant,"),
        (".prom", "# HELP"),
    ):
        out = tmp_path / f"report{ending}"
        done = run.invoke(app, ["report", *map(str, paths), "-o", str(out)])
        assert done.exit_code == 0 and out.read_text().startswith(start), done.output
    assert len((tmp_path / "report.csv").read_text().splitlines()) == 1 + 6
    assert run.invoke(app, ["report", str(paths[0]), "-o", str(tmp_path / "r.xml")]).exit_code == 0
    assert 'skipped="1"' in (tmp_path / "r.xml").read_text()
    for wrong, reason in ((tmp_path / "r.pdf", "end its name in one of .html"), (tmp_path / "two.xml", "2 are given")):
        done = run.invoke(app, ["report", *map(str, paths), "-o", str(wrong)])
        assert done.exit_code == 2 and reason in done.stderr and not wrong.exists()
    assert run.invoke(app, ["report", str(paths[0])]).stdout.startswith("| machine")
