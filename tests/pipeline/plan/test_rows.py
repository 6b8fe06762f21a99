"""Rows are computed once: on val by the steps that decide, on test after that."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.meters.contract import Sensor
from edgeseg.benchmarks.meters.trace import PowerTrace, Stretch
from edgeseg.benchmarks.results.result import BenchResult, ModelFile
from edgeseg.benchmarks.results.result import Row as Timed
from edgeseg.benchmarks.results.samples import Block, Cold, ProcessRun
from edgeseg.compress.search.budget import Budget
from edgeseg.pipeline.chain.store import StepFolder
from edgeseg.pipeline.plan.gates import over_budget
from edgeseg.pipeline.plan.layout import REFERENCE_ROWS, ROWS, score_step
from edgeseg.pipeline.plan.row import load_rows, save_rows
from edgeseg.pipeline.plan.rows import Found, reference_row, val_row, with_latency, with_test
from edgeseg.pipeline.recipe.sections.gates import GateSection
from edgeseg.pipeline.steps.pack import measured_of
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.opening import selection

from ..stored_scores import store_scores

TEACHER, ALONE = ROWS[:2]


@pytest.fixture
def found(tmp_path: Path) -> Found:
    records, folders = {}, {}
    missed = {(TEACHER, "val"): 0, (TEACHER, "test"): 1, (ALONE, "val"): 3, (ALONE, "test"): 8}
    for (layout, split), rows in missed.items():
        name = score_step(layout, split)
        folders[name] = StepFolder(tmp_path / name)
        records |= {name: store_scores(folders[name], rows), layout.file: {"result": {"status": "ok", "bytes": 7}}}
    records["student_alone"] = {"result": {"params": 5, "macs": 6, "macs_at": [32, 32]}}
    return Found(records, folders, GateSection())


def test_a_row_comes_back_from_the_folder_of_the_step_that_decided(found: Found, tmp_path: Path) -> None:
    row = val_row(ALONE, found)
    assert (row.status, row.params, row.macs_at) == ("refused", 5, (32, 32)) and "gates.max_dice_drop" in str(
        row.reason
    )
    save_rows(tmp_path, [row])
    assert load_rows(tmp_path) == [row]
    (stored,) = json.loads((tmp_path / "rows.json").read_text())
    for damaged in (stored | {"bytes": "many"}, stored | {"new": 1}, {k: v for k, v in stored.items() if k != "skill"}):
        (tmp_path / "rows.json").write_text(json.dumps([damaged]))
        with pytest.raises(ConfigError, match=r"rows\.json: row student_alone\.(bytes|new|skill)"):
            load_rows(tmp_path)


def test_test_is_added_to_what_val_decided_and_val_is_not_looked_at_again(found: Found) -> None:
    row = val_row(ALONE, found)
    assert row.accuracy.keys() == {"val"} and row.dice_drop_vs_teacher is not None
    for layout in (TEACHER, ALONE):
        shutil.rmtree(found.files(layout, "val"))
    whole = with_test(row, ALONE, found)
    assert whole.dice_drop_vs_teacher is not None
    assert whole.dice_drop_vs_teacher["val"] == row.dice_drop_vs_teacher["val"]
    teacher, own = (found.summary(layout, "test") for layout in (TEACHER, ALONE))
    assert whole.accuracy["test"] == own and teacher is not None and own is not None
    drop = whole.dice_drop_vs_teacher["test"]
    assert drop is not None and drop["mean"] == pytest.approx(teacher["dice_mean"] - own["dice_mean"])
    assert drop["budget"] == GateSection().max_total_dice_drop
    recall = (whole.region_recall_drop_vs_teacher or {})["test"]
    assert recall is not None and recall["mean"] == pytest.approx(teacher["region_recall"] - own["region_recall"])
    assert (whole.status, whole.reason, whole.agreement_vs_parent) == (row.status, row.reason, row.agreement_vs_parent)


def test_a_network_that_no_longer_finds_regions_is_refused_for_that(found: Found) -> None:
    name = score_step(ALONE, "val")
    shutil.rmtree(found.folders[name].root)
    records = dict(found.records) | {name: store_scores(found.folders[name], 20)}  # of 20 rows: found in none of four
    gates = GateSection(None, None, max_region_recall_drop=0.02)
    row = val_row(ALONE, dataclasses.replace(found, records=records, gates=gates))
    drop = (row.region_recall_drop_vs_teacher or {})["val"]
    assert drop is not None and (drop["mean"], drop["budget"]) == (1.0, 0.02)
    assert row.status == "refused" and "gates.max_region_recall_drop allows 2.00" in str(row.reason)


def test_a_file_that_was_not_made_is_a_row_with_its_reason(found: Found) -> None:
    missing = {"result": {"status": "not measured", "reason": "it failed", "summary": None}}
    records = dict(found.records) | {score_step(ALONE, split): missing for split in ("val", "test")}
    records |= {ALONE.file: {"result": {"status": "failed", "reason": "it failed"}}}
    bare = dataclasses.replace(found, records=records)
    row = with_test(val_row(ALONE, bare), ALONE, bare)
    assert (row.status, row.reason, row.accuracy) == ("failed", "it failed", {"val": None, "test": None})
    assert row.dice_drop_vs_teacher is None and row.skill is None


def test_a_file_that_is_computed_wrongly_here_is_refused_in_plain_words(found: Found, monkeypatch) -> None:
    lenient = dataclasses.replace(found, gates=GateSection(None, None))
    needs = dataclasses.replace(ALONE, needs=("vnni",))
    for kind, status in (("x86", "refused"), ("x86-vnni", "ok")):
        monkeypatch.setattr(selection, "machine_kind", lambda kind=kind: kind)
        row = val_row(needs, lenient)
        assert row.status == status
        assert (row.reason is None) == (status == "ok")
        assert row.reason is None or row.reason == (
            "this processor has no VNNI instructions, so that sums of unsigned times signed bytes saturate: what this "
            "file answers here, and its Dice, is not what it does where it is meant to run; run the recipe on a "
            "processor that has them"
        )


def _bench(**total_ms: float) -> BenchResult:
    """Files that take so long, each in two processes of two blocks."""

    def timed(name: str, ms: float) -> Timed:
        block = Block(0, (100_000,) * 5, (round(ms * 1e6) - 150_000,) * 5, (50_000,) * 5)
        processes = (ProcessRun(1, 0.1, True, 0, "0" * 64, (block, block)),) * 2
        cold = Cold(1.0, 1.0, 1.0, 50.0, 60.0, 80.5, "0" * 64, "onnxruntime 1.0")
        return Timed(name, "ok", None, ModelFile("0" * 64, 7), "onnxruntime", "fp32", 1, cold, processes)

    rows = tuple(timed(name, ms) for name, ms in total_ms.items())
    return BenchResult("2026-11-28", "device", HarnessConfig(), None, {}, {}, {}, {}, 1.0, rows)


def test_speed_is_told_against_the_reference_and_not_the_teacher(found: Found) -> None:
    row = val_row(ALONE, found)
    for reference_ms, ratio in ((60.0, 20.0), (15.0, 5.0)):  # another `reference.base`, another ratio
        bench = _bench(reference_onnx=reference_ms, teacher_onnx=9.0, student_alone_onnx=3.0)
        compared = with_latency(row, ALONE, bench, found)
        assert compared.speedup_vs_reference is not None and compared.speedup_vs_parent is not None
        assert compared.speedup_vs_reference["ratio"] == pytest.approx(ratio)
        assert compared.speedup_vs_parent["ratio"] == pytest.approx(3.0)
    alone = with_latency(row, ALONE, _bench(teacher_onnx=9.0, student_alone_onnx=3.0), found)
    assert alone.speedup_vs_reference is None and alone.latency_ms is not None


def test_the_reference_has_costs_and_no_accuracy(found: Found) -> None:
    first, litert = REFERENCE_ROWS[:2]
    assert (first.name, first.target, litert.parent) == ("reference", "x86-ort", "reference")
    records = dict(found.records) | {"reference": {"result": {"params": 9, "macs": 8, "macs_at": [64, 64]}}}
    records |= {first.file: {"result": {"status": "ok", "bytes": 7}}}
    records |= {litert.file: {"result": {"status": "failed", "reason": "too large"}}}
    known = dataclasses.replace(found, records=records)
    bench = _bench(reference_onnx=60.0, teacher_onnx=9.0)
    row = reference_row(first, bench, known)
    assert (row.kind, row.params, row.macs, row.bytes, row.peak_memory_mib) == ("reference", 9, 8, 7, 80.5)
    assert row.latency_ms is not None and row.latency_ms["total"]["p50"] == pytest.approx(60.0)
    assert row.accuracy == {"val": None, "test": None} and row.speedup_vs_reference is None
    failed = reference_row(litert, bench, known)
    assert (failed.status, failed.reason, failed.latency_ms) == ("failed", "too large", None)
    assert failed.latency_reason == "reference_tflite was not measured"


def test_what_another_machine_took_is_its_own_and_no_more_than_it_says(found: Found) -> None:
    row = dataclasses.replace(val_row(ALONE, found), refused_for={"x86-ort": "it has learned nothing"})
    device = {"arch": "aarch64"}
    bench = dataclasses.replace(_bench(student_alone_onnx=3.0), device=device, evidence="emulated")
    there = with_latency(row, ALONE, bench, found)
    assert (there.target, there.evidence) == ("arm64-ort", "emulated") and list(there.refused_for) == ["arm64-ort"]
    (measured,) = measured_of(dataclasses.replace(there, refused_for={}), ALONE, there.evidence)
    assert measured == {"target": "arm64-ort", "status": "ok", "evidence": "emulated"}
    (measured,) = measured_of(with_latency(row, ALONE, dataclasses.replace(bench, evidence="device"), found), ALONE)
    assert measured["total_p50_ms"] == pytest.approx(3.0) and measured["status"] == "refused"


def test_energy_of_a_recording_is_held_against_the_budget_and_says_what_it_is(found: Found) -> None:
    """4 W, while three calls of 1 s each were timed in each of four blocks."""
    second = 1_000_000_000
    block = Block(0, (0,) * 3, (second,) * 3, (0,) * 3, 3 * second)
    runs = tuple(ProcessRun(1, 0.1, True, 0, "0" * 64, (block,), 3 * k * second) for k in range(1, 5))
    plain = _bench(student_alone_onnx=1000.0)
    ticks = tuple(range(0, 24 * second, second // 5))
    sensor = Sensor("replay", "recording p.csv", ("all",), "all", "power_w", 5.0, None, "none", evidence="replayed")
    trace = PowerTrace(
        sensor, ticks, (4.0,) * len(ticks), 0, None, Stretch(0, second), Stretch(22 * second, 23 * second)
    )
    rows = (dataclasses.replace(plain.rows[0], processes=runs),)
    for level, told in (("device", "replayed"), ("emulated", "emulated")):
        bench = dataclasses.replace(plain, rows=rows, power=trace, evidence=level)
        row = with_latency(val_row(ALONE, found), ALONE, bench, found)
        assert row.energy is not None and row.energy["gross_mj"] == pytest.approx(4000.0)
        assert row.energy["evidence"] == told
    assert over_budget(Budget("x86-ort", energy_mj=5000), row) == ()
    assert over_budget(Budget("x86-ort", energy_mj=3000), row) == ("energy_mj is 4000, the budget allows 3000",)
    silent = with_latency(val_row(ALONE, found), ALONE, plain, found)
    assert silent.energy is None and silent.energy_reason == "no power meter was named"
    assert over_budget(Budget("x86-ort", energy_mj=3000), silent) == (
        "energy_mj is not measured, the budget allows 3000",
    )
