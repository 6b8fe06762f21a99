"""The table at a run's end: the tree, figures with their intervals, and every reason."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from edgeseg.pipeline.text.step_table import reasons_of, shipped_line, step_table, tree

# What every row has at least.
ROW: dict[str, Any] = {"parent": None, "kind": "model", "status": "ok", "reason": None, "refused_for": {}}
TEACHER: dict[str, Any] = {
    **ROW,
    **{"name": "teacher", "params": 7_760_000, "bytes": 31_000_000},
    "accuracy": {"val": {"dice_mean": 0.81}, "test": {"dice_mean": 0.8}},
    "latency_ms": {"total": {"p50": 112.0}},
    "speedup_vs_reference": {"ratio": 1.0},
}
STUDENT: dict[str, Any] = {
    **ROW,
    **{"name": "student", "parent": "teacher", "status": "refused", "reason": "val Dice is 3 points below"},
    "dice_drop_vs_teacher": {"test": {"mean": 0.008, "lo95": -0.012, "hi95": 0.029}},
}
INT8: dict[str, Any] = {
    **ROW,
    **{"name": "int8", "parent": "student", "refused_for": {"x86-ort": "3.0 times"}},
    **{"latency_ms": None, "latency_reason": "the engine is missing"},
}
LOST: dict[str, Any] = {**ROW, "name": "lost", "parent": "gone"}
RECIPE = {"settings": {"reference": {"base": 16}}}
SHIPPED = {"step": "int8", "variant": "onnx-int8", "target": "x86-ort", "reason": "the fastest"}


def printed(report: dict[str, Any]) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=200).print(step_table(report))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_children_stand_below_their_parents() -> None:
    found = [(depth, row["name"]) for depth, row in tree([INT8, TEACHER, LOST, STUDENT])]
    assert found == [(0, "teacher"), (1, "student"), (2, "int8"), (0, "lost")]


def test_figures_and_reasons() -> None:
    lines = printed({"steps": [TEACHER, STUDENT, INT8], "shipped": SHIPPED, "recipe": RECIPE})
    assert lines[1].split() == ["teacher", "ok", "31.0", "7.76", "M", "0.810", "0.800", "-", "112", "1.00x"]
    assert lines[2].startswith("└ student") and "+0.8 (\N{MINUS SIGN}1.2 to +2.9)" in lines[2]
    assert lines[3].startswith("  └ int8")
    assert lines[5:8] == [
        "student: refused: val Dice is 3 points below",
        "int8: refused for x86-ort: 3.0 times",
        "int8: no latency: the engine is missing",
    ]
    assert any(
        line.startswith("Speed-ups and sizes refer to the reference, a plain U-Net in FP32 (base 16), in the same")
        for line in lines
    )
    assert lines[-1] == "ships: onnx-int8 for x86-ort (the fastest)"


def test_nothing_ships_and_a_row_without_a_reason_has_none() -> None:
    assert shipped_line({"shipped": {"step": None, "reason": "no variant holds all budgets"}}) == (
        "ships: nothing (no variant holds all budgets)"
    )
    assert reasons_of(LOST) == []
