"""A gate that names no target which was measured is told."""

from __future__ import annotations

from typing import Any

from edgeseg.pipeline.plan.gates import latency_refusals
from edgeseg.pipeline.recipe.recipe import DataConfig, Recipe
from edgeseg.pipeline.recipe.sections.gates import GateSection
from edgeseg.pipeline.report.unheld import unheld_warnings
from edgeseg.runtime.spec.input_spec import Geometry


def _row(target: str, *, variant: str | None = "tflite-int8", timed: bool = True) -> dict[str, Any]:
    return {"target": target, "variant": variant, "latency_ms": {"total": {"p50": 1.0}} if timed else None}


def test_a_speed_up_that_was_asked_of_other_machines_is_told() -> None:
    gates = GateSection(min_speedup={"x86-ort": 20.0, "x86-litert": 20.0})
    away = [_row("arm64-litert"), _row("x86-ort", timed=False), _row("x86-ort", variant=None)]
    (found,) = unheld_warnings(away, gates)
    assert found["message"] == (
        "gates.min_speedup is of x86-litert, x86-ort, but files were measured on arm64-litert: "
        "no speed-up was asked of any"
    )
    assert "gates.min_speedup.arm64-litert" in found["remedy"] and set(found) == {"kind", "step", "message", "remedy"}
    assert unheld_warnings([*away, _row("x86-ort")], gates) == []
    assert unheld_warnings(away, GateSection()) == [] and unheld_warnings([], gates) == []


def test_a_device_s_target_may_be_asked() -> None:
    """The gate of a budget on another machine was not to be said at all."""
    gates = GateSection(min_speedup={"arm64-litert": 20.0})
    recipe = Recipe("tiny", DataConfig("synthetic"), Geometry("resize", 64, 64), gates=gates)
    assert "12.0 times" in latency_refusals({"arm64-litert": 12.0}, recipe.gates)["arm64-litert"]
    assert unheld_warnings([_row("arm64-litert")], gates) == []
