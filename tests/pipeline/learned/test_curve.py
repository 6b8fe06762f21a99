"""How a training ended: the recorded curves of real trainings, and made-up ones."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from edgeseg.pipeline.learned.curve import read_curve

RESULTS = Path(__file__).parents[3] / "docs" / "results"


def history(*dice: float | None) -> list[dict[str, Any]]:
    return [{"epoch": 2.0 * look, "train_loss": 1.0, "val_dice": value} for look, value in enumerate(dice, start=1)]


@pytest.mark.parametrize(("name", "n"), [("ultrasound", 4), ("inspection", 3)])
def test_recorded_trainings_had_come_to_their_end(name: str, n: int) -> None:
    recorded = json.loads((RESULTS / f"{name}.json").read_text())["histories"]
    assert len(recorded) == n
    assert {read_curve(one).end for one in recorded.values()} <= {"settled", "flat"}


def test_cut_off_after_four_looks_it_had_not() -> None:
    recorded = json.loads((RESULTS / "ultrasound.json").read_text())["histories"]
    assert read_curve(recorded["student_alone"][:4]).end == "rising"


@pytest.mark.parametrize(
    ("dice", "end"),
    [
        ((), "short"),
        ((0.03,), "short"),
        ((0.03, 0.05), "short"),
        ((0.3, 0.5, 0.6, 0.65, 0.66), "settled"),
        ((0.03, 0.031, 0.05, 0.06, 0.08), "rising"),
        ((0.0, 0.2, 0.1, 0.59, 0.635), "rising"),  # a step of four points at the end
        ((0.7, 0.8, 0.85, 0.86, 0.859, 0.861, 0.86, 0.89), "rising"),  # the last look is the best by far
        ((0.7, 0.8, 0.85, 0.86, 0.859, 0.861, 0.86, 0.865), "settled"),  # ... and by half a point
        ((0.5, 0.8, 0.82, 0.4, 0.81, 0.82), "settled"),  # one bad look
        ((0.0, 0.0, 0.0, 0.0), "flat"),
        ((0.871, 0.877, 0.871), "flat"),
        ((0.871, 0.7, 0.689, 0.746), "settled"),  # pruned and not quite recovered: more would not have been better
        ((0.9, 0.6, 0.3), "settled"),  # it fell; the best look is kept
    ],
)
def test_ends(dice: tuple[float, ...], end: str) -> None:
    assert read_curve(history(*dice)).end == end


@pytest.mark.parametrize(("constant", "end"), [(0.15, "settled"), (0.3, "settled"), (0.5, "rising"), (2.0, "rising")])
@pytest.mark.parametrize("looks", [8, 12, 40])
def test_an_exponential_rise_is_judged_by_its_time_constant(constant: float, end: str, looks: int) -> None:
    curve = [0.8 * (1 - math.exp(-look / looks / constant)) for look in range(1, looks + 1)]
    assert read_curve(history(*curve)).end == end


def test_rows_that_were_no_look_at_val_do_not_count() -> None:
    assert read_curve(history(0.1, None, 0.5, None)).end == "short"
    found = read_curve(history(0.1, None, 0.5, 0.5, 0.5))
    assert found.end == "settled" and found.epochs == 10 and "from 0.100 to 0.500 in 10 epochs" in found.words
