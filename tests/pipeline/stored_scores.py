"""Scores and masks on disk, as the scoring steps leave them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from edgeseg.pipeline.chain.store import StepFolder
from edgeseg.runtime.score.evaluate import save_scores
from edgeseg.runtime.score.image_score import score_image
from edgeseg.runtime.score.metrics import summarize

CLASSES = ("good", "pit")


def store_scores(folder: StepFolder, missed_rows: int) -> dict[str, Any]:
    """Scores and masks of a network that misses some rows of every defect; returns the step's record."""
    (folder.files / "masks").mkdir(parents=True)
    truth = np.zeros((32, 32), np.uint8)
    truth[4:24, 4:24] = 1
    scores = []
    for index in range(4):
        pred = truth.copy()
        pred[: 4 + missed_rows + index] = 0
        scores.append(score_image(pred, truth, 2, stem=f"part_{index}", group=f"part_{index}"))
        cv2.imwrite(str(folder.files / "masks" / f"part_{index}.png"), pred)
    save_scores(folder.files / "scores.json", scores)
    return {"result": {"status": "ok", "reason": None, "summary": summarize(scores, CLASSES)}}
