"""How a step ended, by what it left."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from edgeseg.pipeline.chain.chain import Step
from edgeseg.pipeline.plan.outcome import Outcome, outcome_of
from edgeseg.pipeline.plan.results import Choice, Exported, Packed, Scored, Shipped
from edgeseg.pipeline.plan.run import make_chain, run_chain
from edgeseg.pipeline.recipe.recipe import DataConfig, Recipe
from edgeseg.runtime.spec.input_spec import Geometry


@pytest.mark.parametrize(
    ("step", "result", "status", "code"),
    [
        ("onnx_int8", Exported("ok", file="model.onnx"), "ok", 0),
        ("onnx_int8", Exported("failed", "no scale"), "failed", 1),
        ("val_onnx_int8", Scored("not measured", "no scale", None), "not measured", 0),
        ("choose_final", Choice("student_pruned", "Best reached: 3 ms.", status="refused"), "refused", 3),
        ("ship", Shipped(None, None, None, "no variant holds all budgets"), "refused", 3),
        ("ship", Shipped("onnx_int8", "onnx-int8-x86", "x86-ort", "fastest"), "ok", 0),
        ("ship", Shipped("onnx_int8", "a", "x86-ort", "fastest", ("bytes is 9",)), "over the budget", 3),
        ("bundle", Packed("refused", "nothing to pack"), "refused", 3),
    ],
)
def test_every_kind_of_step(step: str, result: object, status: str, code: int) -> None:
    found = outcome_of(step, dataclasses.asdict(result))  # type: ignore[call-overload]
    assert (found.status, found.exit_code) == (status, code)
    if status == "over the budget":
        assert found.reason == "bytes is 9"
    else:
        assert found.reason == (None if status == "ok" else result.reason)  # type: ignore[attr-defined]


def test_steps_that_know_no_status() -> None:
    assert outcome_of("teacher", {"history": []}) == Outcome("teacher")
    assert outcome_of("bench", {"status": {"onnx_fp32": "failed"}}) == Outcome("bench")


def test_a_run_up_to_a_step_that_was_left_out_or_failed_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recipe without a budget cuts nothing; what else is asked for here is a step that cannot export."""
    recipe = Recipe("tiny", DataConfig("synthetic", 12, 64), Geometry("resize", 64, 64))
    chain = make_chain(recipe, None, tmp_path)
    left_out = dataclasses.replace(next(one for one in chain.steps if one.name == "student_pruned"), parents=())
    (tmp_path / "no_export.py").write_text('def run(_):\n    return {"status": "failed", "reason": "asked to"}\n')
    monkeypatch.syspath_prepend(tmp_path)
    broken = Step("onnx_int8", (), {}, "no_export:run")
    chain = dataclasses.replace(chain, steps=(left_out, broken))
    found = run_chain(chain, only="student_pruned")
    assert found.stopped is not None and found.stopped.status == "not measured" and found.exit_code == 0
    assert "has no budget" in str(found.stopped.reason)
    found = run_chain(chain, only="onnx_int8")
    assert found.stopped == Outcome("onnx_int8", "failed", "asked to") and found.exit_code == 1
