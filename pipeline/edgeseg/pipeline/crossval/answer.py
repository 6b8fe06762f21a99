"""A fold's answer on disk: its row and its test scores, small enough to be carried from one machine to another.

TARGET_BUDGET/fold_K-QUESTION/scores_ROW.json   scores by image of each of `pool.ROWS`
TARGET_BUDGET/fold_K-QUESTION/fold.json         the row, and what the question was; written last

The folder's name has a hash of the question in it, so that the answer to one never takes the place of another's.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.pipeline.crossval.added import AS_IF_NOT_THERE
from edgeseg.pipeline.crossval.pool import ROWS, Record
from edgeseg.runtime.files.atomic import write_json
from edgeseg.runtime.score.evaluate import load_scores, save_scores
from edgeseg.runtime.score.image_score import ImageScore

_VERSION = 2  # goes up when what an answer says means something else

# What recipes could once say and none can any more, by key; settings that are gone need no entry.
_GONE = {"quantize.method": ("auto",)}


@dataclass(frozen=True)
class Answer:
    """What a fold has come to.

    Attributes:
        row: Of the record.
        scores: On the fold's test images, by name of `pool.ROWS`; None where no network holds the budget.
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


def load_recorded(root: Path, number: int, question: Record) -> Answer | None:
    """The answer that an earlier version gave to a question that can no longer be asked in its words.

    Images, split and every setting of today must be equal; what that version did not know is as `added` says.
    `recorded_with` of the row says what else it was told. None where there is no such answer, or more than one.

    Args:
        root: Of the answers.
        number: Of the fold.
        question: As it is asked today.

    Raises:
        DataError: If the scores of a whole answer cannot be read.
    """
    found = []
    for path in sorted(root.glob(f"fold_{number}-*/fold.json")):
        gone = _gone(json.loads(path.read_text(encoding="utf-8"))["question"], json.loads(json.dumps(question)))
        found += [] if gone is None else [(path.parent, gone)]
    answer = load_answer(found[0][0]) if len(found) == 1 else None
    return answer and Answer(answer.row | {"recorded_with": found[0][1]}, answer.scores)


def _gone(then: Record, now: Record) -> Record | None:
    """What a question says that none can say any more; None where today's asks for something else."""
    before, today = AS_IF_NOT_THERE | _flat(then), AS_IF_NOT_THERE | _flat(now)
    gone = {key: value for key, value in before.items() if key not in today or value in _GONE.get(key, ())}
    same = all(key in before and (key in gone or before[key] == value) for key, value in today.items())
    return gone if same else None


def _flat(question: Record) -> Record:
    """Images, and settings as `section.key`; versions of steps are others with every version, and left out."""
    flat = {key: value for key, value in question.items() if key not in ("recipe", "versions")}
    for section, value in question["recipe"].items():
        flat |= {f"{section}.{key}": one for key, one in value.items()} if isinstance(value, dict) else {section: value}
    return flat


def save_answer(folder: Path, question: Record, answer: Answer) -> None:
    """Write an answer."""
    for name, scores in (answer.scores or {}).items():
        save_scores(_scores(folder, name), scores)
    stored = {"question": question, "scored": answer.scores is not None, "row": answer.row}
    write_json(folder / "fold.json", stored)


def _scores(folder: Path, name: str) -> Path:
    return folder / f"scores_{name}.json"
