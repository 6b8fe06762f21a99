"""A fold's answer on disk: its row and its test scores, small enough to be carried from one machine to another.

TARGET_BUDGET/fold_K-QUESTION/scores_ROW.json   scores by image of each of `crossval_pool.ROWS`
TARGET_BUDGET/fold_K-QUESTION/fold.json         the row, and what the question was; written last

The folder's name has a hash of the question in it, so that the answer to one never takes the place of another's.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.pipeline.crossval.pool import ROWS, Record
from edgeseg.runtime.atomic import write_json
from edgeseg.runtime.score.evaluate import load_scores, save_scores
from edgeseg.runtime.score.image_score import ImageScore

_VERSION = 1  # goes up when what an answer says means something else


@dataclass(frozen=True)
class Answer:
    """What a fold has come to.

    Attributes:
        row: Of the record.
        scores: On the fold's test images, by name of `crossval_pool.ROWS`; None where no network holds the budget.
    """

    row: Record
    scores: dict[str, list[ImageScore]] | None


def answer_folder(root: Path, number: int, question: Record) -> Path:
    """Place of a fold's answer: by all it depends on, but for the machine, since folds may run on several.

    Args:
        root: Of the answers.
        number: Of the fold.
        question: JSON-able.
    """
    text = json.dumps([_VERSION, question], sort_keys=True)
    return root / f"fold_{number}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def load_answer(folder: Path) -> Answer | None:
    """The answer in a folder, or None if there is none.

    Raises:
        DataError: If the scores of a whole answer cannot be read.
    """
    try:
        stored: dict[str, Any] = json.loads((folder / "fold.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not stored["scored"]:
        return Answer(stored["row"], None)
    return Answer(stored["row"], {name: load_scores(_scores(folder, name)) for name in ROWS})


def save_answer(folder: Path, question: Record, answer: Answer) -> None:
    """Write an answer."""
    for name, scores in (answer.scores or {}).items():
        save_scores(_scores(folder, name), scores)
    stored = {"question": question, "scored": answer.scores is not None, "row": answer.row}
    write_json(folder / "fold.json", stored)


def _scores(folder: Path, name: str) -> Path:
    return folder / f"scores_{name}.json"
