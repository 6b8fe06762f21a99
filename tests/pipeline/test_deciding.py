"""Which student goes on, decided on val from stored scores alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.pipeline.chain import Step, StepContext
from edgeseg.pipeline.layout import MODEL_ROWS, score_step
from edgeseg.pipeline.recipe import load_recipe
from edgeseg.pipeline.steps.deciding import run_choose_student
from edgeseg.pipeline.store import StepFolder
from edgeseg.runtime.evaluate import save_scores
from edgeseg.runtime.image_score import score_image
from edgeseg.runtime.metrics import summarize

CLASSES = ("good", "pit")


def _store_scores(root: Path, step: str, missed_rows: int) -> dict[str, Any]:
    """Scores and masks of a network that misses some rows of every defect; returns the step's record."""
    folder = StepFolder(root / step)
    (folder.files / "masks").mkdir(parents=True)
    truth = np.zeros((32, 32), np.uint8)
    truth[4:24, 4:24] = 1
    scores = []
    for index in range(4):
        pred = truth.copy()
        pred[: 4 + missed_rows + index] = 0
        scores.append(score_image(pred, truth, 2, stem=f"part_{index}"))
        cv2.imwrite(str(folder.files / "masks" / f"part_{index}.png"), pred)
    save_scores(folder.files / "scores.json", scores)
    return {"result": {"status": "ok", "reason": None, "summary": summarize(scores, CLASSES)}}


def _context(root: Path, missed_rows: dict[str, int]) -> StepContext:
    recipe_file = root / "recipe.yaml"
    recipe_file.write_text(
        "name: small\ndata: {name: synthetic}\ngeometry: {mode: native}\n"
        "gates: {max_dice_drop: 0.05, max_total_dice_drop: 0.05}\n"
    )
    results: dict[str, dict[str, Any]] = {}
    for row in MODEL_ROWS:
        if row.name in missed_rows:
            results[score_step(row, "val")] = _store_scores(root, score_step(row, "val"), missed_rows[row.name])
            results[row.file] = {"result": {"status": "ok", "reason": None}}
    return StepContext(
        step=Step("choose_student", (), {}, ""),
        recipe=load_recipe(recipe_file),
        data_root=root,
        split_file=root / "split.json",
        folder=StepFolder(root / "choose_student"),
        results=results,
        folders={score_step(row, "val"): StepFolder(root / score_step(row, "val")) for row in MODEL_ROWS},
        progress=lambda share, words: None,
    )


@pytest.mark.parametrize(
    ("missed_rows", "student", "teaches", "reason"),
    [
        (
            {"teacher": 0, "student_alone": 2, "student_distilled": 1},
            "student_distilled",
            "teacher",
            "holds its budget",
        ),
        ({"teacher": 2, "student_alone": 0, "student_distilled": 1}, "student_alone", "student_alone", "baseline"),
        ({"teacher": 1, "student_alone": 1, "student_distilled": 1}, "student_alone", "teacher", "is as good"),
        ({"teacher": 20, "student_alone": 20, "student_distilled": 20}, "student_alone", "teacher", "is as good"),
        ({"teacher": 0, "student_alone": 9, "student_distilled": 8}, "student_distilled", "teacher", "max_dice_drop"),
        ({"teacher": 3, "student_alone": 2, "student_distilled": 1}, "student_distilled", "student_distilled", "holds"),
    ],
    ids=[
        "distillation pays",
        "baseline wins",
        "a tie proves nothing",
        "all have nothing",
        "both too far below",
        "student above teacher",
    ],
)
def test_the_student_that_goes_on(
    tmp_path: Path, missed_rows: dict[str, int], student: str, teaches: str, reason: str
) -> None:
    chosen = run_choose_student(_context(tmp_path, missed_rows))
    assert (chosen["student"], chosen["teaches"]) == (student, teaches)
    assert reason in chosen["reason"]
