"""A fold's answer on disk: its row and its test scores, small enough to be carried from one machine to another.

ANSWER/fold_K/scores_ROW.json   scores by image of each of `crossval_pool.ROWS`
ANSWER/fold_K/fold.json         the row, and the key of all it depends on; written last
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.pipeline.crossval_pool import ROWS, Record
from edgeseg.runtime.atomic import write_json
from edgeseg.runtime.evaluate import load_scores, save_scores
from edgeseg.runtime.image_score import ImageScore

_VERSION = 1  # goes up when what an answer says means something else


@dataclass(frozen=True)
class Answer:
    """What a fold has come to.

    Attributes:
        row: Of the record.
        scores: On the fold's test images, by name of `crossval_pool.ROWS`.
    """

    row: Record
    scores: dict[str, list[ImageScore]]


def answer_key(recipe_sha256: str, budget: str, data_sha256: str, split_sha256: str) -> str:
    """Identity of a fold's question; the machine is not part of it, since folds may run on several."""
    return hashlib.sha256(json.dumps([_VERSION, recipe_sha256, budget, data_sha256, split_sha256]).encode()).hexdigest()


def load_answer(folder: Path, key: str) -> Answer | None:
    """The answer in a folder, or None if there is none to this question.

    Raises:
        DataError: If the scores of a whole answer cannot be read.
    """
    try:
        stored: dict[str, Any] = json.loads((folder / "fold.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if stored.get("key") != key:
        return None
    return Answer(stored["row"], {name: load_scores(_scores(folder, name)) for name in ROWS})


def save_answer(folder: Path, key: str, answer: Answer) -> None:
    """Write an answer; one that was there goes first, so that no row stands beside another's scores."""
    (folder / "fold.json").unlink(missing_ok=True)
    for name in ROWS:
        save_scores(_scores(folder, name), answer.scores[name])
    write_json(folder / "fold.json", {"key": key, "row": answer.row})


def _scores(folder: Path, name: str) -> Path:
    return folder / f"scores_{name}.json"
