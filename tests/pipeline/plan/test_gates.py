"""Budgets are held against val and against measured latency."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from edgeseg.compress.search.budget import Budget
from edgeseg.pipeline.plan.gates import accuracy_refusal, latency_refusals, over_budget
from edgeseg.pipeline.plan.row import Row
from edgeseg.pipeline.recipe.sections.gates import GateSection


def _row(parent_drop: float = 0.0, teacher_drop: float = 0.0, recall_drop: float = 0.0, **val: Any) -> Row:
    return Row(
        **{"name": "any", "parent": "teacher", "kind": "variant", "variant": "a", "target": "x86-ort", "status": "ok"},
        accuracy={"val": {"region_recall": 0.9, "false_regions_per_negative_frame": 0.2} | val, "test": None},
        dice_drop_vs_parent={"val": {"mean": parent_drop}},
        dice_drop_vs_teacher={"val": {"mean": teacher_drop}},
        region_recall_drop_vs_teacher={"val": {"mean": recall_drop}},
    )


GATES = GateSection(
    *(0.01, 0.02), max_region_recall_drop=0.02, min_region_recall=0.9, max_false_regions_per_negative_frame=0.2
)


def test_a_row_within_every_budget_passes() -> None:
    # 47 of 50 regions where the teacher finds 48: exactly the budget, and above it in floating point.
    assert accuracy_refusal(_row(0.01, 0.02, 0.96 - 0.94), GATES) is None


@pytest.mark.parametrize(
    ("row", "key"),
    [
        (_row(parent_drop=0.011), "gates.max_dice_drop"),
        (_row(teacher_drop=0.021), "gates.max_total_dice_drop"),
        (_row(recall_drop=0.021), "gates.max_region_recall_drop"),
        (_row(region_recall=0.89), "gates.min_region_recall"),
        (_row(false_regions_per_negative_frame=0.21), "gates.max_false_regions_per_negative_frame"),
    ],
)
def test_a_broken_budget_is_named_with_its_key(row: Row, key: str) -> None:
    reason = accuracy_refusal(row, GATES)
    assert reason is not None
    assert key in reason


@pytest.mark.parametrize(
    ("low", "refused"), [(0.012, True), (0.008, False), (None, False)], ids=["shown", "not shown", "no interval"]
)
def test_a_network_is_refused_where_the_whole_interval_is_beyond_the_budget(low: float | None, refused: bool) -> None:
    drop = {"mean": 0.02, "lo95": low, "hi95": 0.03}
    network = dataclasses.replace(_row(), kind="model", dice_drop_vs_parent={"val": drop})
    reason = accuracy_refusal(network, GateSection(0.01, None))
    assert (reason is not None) is refused
    if refused:
        assert reason == "val Dice is 2.00 points below its parent, at least 1.20; gates.max_dice_drop allows 1.00"
    # The file that ships is this very one: its own drop counts.
    assert accuracy_refusal(dataclasses.replace(network, kind="variant"), GateSection(0.01, None)) is not None


def test_a_gain_is_no_drop() -> None:
    assert accuracy_refusal(_row(-0.05, -0.05, -0.05), GateSection(0.0, 0.0, 0.0)) is None


def test_a_file_that_misses_regions_is_refused_in_words_with_its_figures() -> None:
    reason = accuracy_refusal(_row(recall_drop=0.04), GATES)
    assert reason == "val region recall is 4.00 points below the teacher; gates.max_region_recall_drop allows 2.00"
    assert accuracy_refusal(_row(recall_drop=0.04), GateSection(0.01, 0.02)) is None


@pytest.mark.parametrize(
    ("gates", "val", "said"),
    [
        (
            GateSection(max_false_regions_per_negative_frame=0.0),
            {"false_regions_per_negative_frame": "not estimable (0 negatives)"},
            "gates.max_false_regions_per_negative_frame is set, but val has no frame without foreground: give val ",
        ),
        (
            GateSection(min_region_recall=0.5),
            {"region_recall": None},
            "gates.min_region_recall is set, but val has no region to be found: give val frames with foreground ",
        ),
        (
            GateSection(max_region_recall_drop=0.02),
            {"region_recall": None},
            "gates.max_region_recall_drop is set, but val has no region to be found: give val frames with foreground ",
        ),
    ],
)
def test_a_gate_that_val_cannot_answer_refuses(gates: GateSection, val: dict[str, Any], said: str) -> None:
    row = dataclasses.replace(_row(**val), region_recall_drop_vs_teacher={"val": None})
    assert str(accuracy_refusal(row, gates)).startswith(said)
    assert accuracy_refusal(row, GateSection()) is None


def test_test_figures_are_never_looked_at() -> None:
    drops = {"val": {"mean": 0.0}, "test": {"mean": 1.0}}
    row = dataclasses.replace(_row(), dice_drop_vs_parent=drops, dice_drop_vs_teacher=drops)
    assert accuracy_refusal(row, GateSection(0.0, 0.0)) is None


def test_latency_refuses_for_the_target_alone() -> None:
    gates = GateSection(min_speedup={"x86-ort": 20.0, "x86-litert": 20.0})
    assert latency_refusals({"x86-ort": 20.0}, gates) == {}
    refused = latency_refusals({"x86-litert": 19.9}, gates)
    assert list(refused) == ["x86-litert"]
    assert "19.9" in refused["x86-litert"]


def test_an_unmeasured_target_is_refused_with_that_reason() -> None:
    refused = latency_refusals({"x86-ort": None}, GateSection(min_speedup={"x86-ort": 2.0}))
    assert "not measured" in refused["x86-ort"]


def test_a_file_beyond_its_budget_is_told() -> None:
    budget = Budget("x86-ort", speedup=5.0, bytes=1000)
    slow, fast = ({"ratio": ratio, "lo95": ratio - 0.5, "hi95": ratio + 0.5} for ratio in (4.97, 5.1))
    row = dataclasses.replace(_row(), latency_ms={"total": {"p50": 2.2}}, bytes=1100, speedup_vs_reference=slow)
    assert over_budget(budget, row) == (  # 2.2 ms are no speed-up
        "bytes is 1100, the budget allows 1000",
        "beside the reference it is 4.97 (4.5 to 5.5) times as fast, 5 were asked",
    )
    assert not over_budget(budget, dataclasses.replace(row, bytes=900, speedup_vs_reference=fast))
    unmeasured = dataclasses.replace(_row(), bytes=900)
    assert over_budget(budget, unmeasured) == ("its speed beside the reference could not be measured",)
    latency = Budget("x86-ort", latency_ms=2.0)
    assert over_budget(latency, row) == ("latency_ms is 2.2, the budget allows 2",)
    assert over_budget(latency, unmeasured) == ("latency_ms is not measured, the budget allows 2",)
    assert not over_budget(Budget("x86-ort", macs_ratio=0.5), unmeasured)  # counted, and held by the search
