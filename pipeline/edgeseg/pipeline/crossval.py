"""`edgeseg crossval`: whether what `edgeseg fit` ships is as good as its teacher, on every image of a data set.

Each fold is a fit of its own; what it ships is tested on images that no training, choice or range of that fold has
seen. What all folds say together is the answer. Folds may run on several machines: their answers are small files.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeseg.pipeline.chain import ChainProgress
from edgeseg.pipeline.crossval_answer import Answer, answer_key, load_answer, save_answer
from edgeseg.pipeline.crossval_fold import FoldFit, FoldResult
from edgeseg.pipeline.crossval_folds import write_fold
from edgeseg.pipeline.crossval_pool import ROWS, Record, Scores, figures, joined, sentence
from edgeseg.pipeline.fit_run import FitOrder
from edgeseg.pipeline.provenance import code_and_time
from edgeseg.runtime.atomic import write_json
from edgeseg.runtime.dataset import DataSet, content_hash, open_dataset, split_hash
from edgeseg.runtime.errors import BackendError, ExportError, TrainingError

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class CrossvalResult:
    """What a cross-validation leaves behind.

    Attributes:
        record: Content of the record on disk.
        path: Where it is.
    """

    record: Record
    path: Path

    @property
    def passed(self) -> bool:
        """Whether there is something to judge, and it is not worse than allowed."""
        drop = (self.record["pooled"] or {}).get("drop")
        return drop is not None and drop["verdict"] != "worse"


@dataclass(frozen=True)
class Crossval:
    """What a cross-validation works with.

    Attributes:
        root: Its folder; folds are below, as fold_K.
        name: Of the record in it: target and budget, so that another one's answer is kept.
        data: All images.
        splits: One a fold, from `crossval_folds.divide`.
        fit: Fits a fold.
        order: The fit's order; its data set is replaced by each fold's.
        max_drop: Largest drop of Dice from teacher to shipped that is accepted, as a share.
        recipe_sha256: Identity of a fold's recipe.
        only: Folds that are run here, or None for all; of the others the answers that are there are used.
    """

    root: Path
    name: str
    data: DataSet
    splits: Sequence[dict[str, str]]
    fit: FoldFit
    order: FitOrder
    max_drop: float
    recipe_sha256: str
    only: Sequence[int] | None = None

    def run(self, about: Record, progress: ChainProgress) -> CrossvalResult:
        """Fit and test fold after fold, and write down what they say together.

        Args:
            about: What was asked: put at the head of the record.
            progress: Told what is done, steps named `fold K of N, STEP`.

        Raises:
            EdgesegError: From what stops every fold, such as a target that disappears; what is done is kept.
        """
        rows, scored = [], []
        for number in range(len(self.splits)):
            row, scores = self._answer(number, progress)
            rows.append(row)
            scored += [scores] if scores is not None else []
        classes = self.data.classes
        pooled = figures(joined(scored), classes, self.max_drop) if scored else None
        record = _head(self.data) | about | {"max_drop": self.max_drop, "n_folds": len(rows), "folds": rows}
        record |= {"pooled": pooled, "n_folds_tested": len(scored)}
        record["sentence"] = sentence(pooled, self.max_drop, len(self.data.samples))
        result = CrossvalResult(record, self.root / f"{self.name}.json")
        write_json(result.path, record)
        return result

    def _answer(self, number: int, progress: ChainProgress) -> tuple[Record, Scores | None]:
        """One fold's row and scores: read back, made here, or a row that says that they are not here."""
        data = write_fold(self.root / f"fold_{number}" / "data", self.data, self.splits[number])
        fold = open_dataset(data)
        key = answer_key(self.recipe_sha256, self.name, content_hash(fold), split_hash(fold))
        folder = self.root / self.name / f"fold_{number}"
        answer = load_answer(folder, key)
        if answer is None:
            row: Record = {"fold": number, "status": "ok", "reason": None, "images": _counts(fold)}
            if self.only is not None and number not in self.only:
                return row | {"status": "not run", "reason": "not among --fold, and no answer is there"}, None
            row, scores = self._fitted(row, data, progress)
            if scores is None:
                return row, None
            answer = Answer(row, {name: list(scores[name]) for name in ROWS})
            save_answer(folder, key, answer)
        # What is accepted may be asked anew without a fold being run again.
        return answer.row | figures(answer.scores, self.data.classes, self.max_drop), answer.scores

    def _fitted(self, row: Record, folder: Path, progress: ChainProgress) -> tuple[Record, Scores | None]:
        """A fold's row, and its scores if it has a network; a failure of this fold alone is a row with its reason."""
        number, root = row["fold"], folder.parent
        order = replace(self.order, data=folder)
        place = f"fold {number + 1} of {len(self.splits)}, "
        try:
            result = self.fit(root, order, lambda step, share, words: progress(place + step, share, words))
        except (TrainingError, ExportError, BackendError) as err:
            return row | {"status": "failed", "reason": str(err)}, None
        row["fit_json"] = os.path.relpath(result.fit_json, self.root)
        if result.scores is None:
            return row | {"status": result.fit["status"], "reason": result.fit["detail"]}, None
        return row | _row(result), result.scores


def fold_weights(weights: dict[str, float], n_folds: int) -> dict[str, float]:
    """Rough shares of time by step, for all folds in turn."""
    return {f"fold {k} of {n_folds}, {name}": weight for k in range(1, n_folds + 1) for name, weight in weights.items()}


def _row(result: FoldResult) -> Record:
    """What a fold ships, and what it costs."""
    chosen = result.fit["chosen"]
    shipped: dict[str, Any] = chosen["shipped"] or {}
    kept = ("variant", "bytes", "sha256", "latency_ms", "speedup_vs_teacher", "teacher_bytes")
    made = {name: result.fit.get(name) for name in ("created", "git_commit", "target_identity", "way")}
    return {"network": chosen["name"]} | made | {name: shipped.get(name) for name in kept}


def _counts(data: DataSet) -> dict[str, int]:
    return {name: len(data.split(name)) for name in ("train", "val", "test")}


def _head(data: DataSet) -> Record:
    about = {
        "name": data.name,
        "content_sha256": content_hash(data),
        "classes": list(data.classes),
        "n_images": len(data.samples),
        "n_groups": len({sample.group for sample in data.samples}),
    }
    return {
        "schema_version": SCHEMA_VERSION,
        **code_and_time(),
        "data": about,
    }
