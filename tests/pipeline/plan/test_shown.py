"""The rule of every choice between trainings: refused where shown to be worse, and a tie goes to the method."""

from __future__ import annotations

from typing import Any

import pytest

from edgeseg.pipeline.plan.shown import said_of, shown_better, shown_worse


def _drop(mean: float, low: float | None, high: float | None, **counts: int) -> dict[str, Any]:
    return {"mean": mean, "lo95": low, "hi95": high, "n_images": 29, "n_groups": 29, "n_seeds": 3} | counts


@pytest.mark.parametrize(
    ("drop", "worse", "better", "said"),
    [
        (
            _drop(0.004, -0.005, 0.012),
            False,
            False,
            "distilled is 0.4 points below alone on val (-1.2 to +0.5 over 3 seeds and 29 images): "
            "not shown to be worse, so it is used",
        ),
        (
            _drop(0.02, 0.001, 0.03, n_seeds=1, n_groups=5),
            True,
            False,
            "distilled is 2.0 points below alone on val (-3.0 to -0.1 over 1 seed and 29 images in 5 groups): "
            "shown to be worse, so it is not used; one training of each decides little (student.seeds)",
        ),
        (
            _drop(-0.02, -0.03, -0.001),
            False,
            True,
            "distilled is 2.0 points above alone on val (+0.1 to +3.0 over 3 seeds and 29 images): "
            "shown to be better, so it is used",
        ),
        (
            _drop(0.2, None, None, n_groups=1),
            False,
            False,
            "distilled is 20.0 points below alone on val (over 3 seeds and 29 images in 1 group, so without an "
            "interval): not shown to be worse, so it is used",
        ),
        (None, False, False, "distilled cannot be held against alone on val, so it is used"),
    ],
    ids=["tie", "worse", "better", "one group", "no foreground"],
)
def test_what_is_shown(drop: dict[str, Any] | None, worse: bool, better: bool, said: str) -> None:
    assert (shown_worse(drop), shown_better(drop)) == (worse, better)
    assert said_of("distilled", "alone", drop, "student.seeds") == said
    assert said_of("distilled", "alone", drop, None) == said.removesuffix(
        "; one training of each decides little (student.seeds)"
    )
