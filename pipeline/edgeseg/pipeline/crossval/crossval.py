"""`edgeseg crossval`: whether what a recipe ships is as good as its teacher, on every image of a data set.

Each fold is a run of its own; what it ships is tested on images that no training, choice or range of that fold has
seen. What all folds say together is the answer. Folds may run on several machines: their answers are small files.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgeseg.pipeline.chain.chain import ChainProgress
from edgeseg.pipeline.chain.lock import alone_in
from edgeseg.pipeline.chain.provenance import code_and_time
from edgeseg.pipeline.crossval.answer import Answer, answer_folder, load_answer, load_recorded, save_answer
from edgeseg.pipeline.crossval.fold import FoldRun
from edgeseg.pipeline.crossval.folds import write_fold
from edgeseg.pipeline.crossval.pool import ROWS, Record, Scores, figures, joined, sentence
from edgeseg.runtime.data.dataset import DataSet, content_hash, split_hash
from edgeseg.runtime.errors import BackendError, ExportError, TrainingError
from edgeseg.runtime.files.atomic import write_json

_NOT_RUN = "not run"
SCHEMA_VERSION = 2  # 2: costs are against the reference, in 1 they were against the teacher


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
        """Whether there is something to judge, it is not worse than allowed, and every fold that was run ships."""
        drop = (self.record["pooled"] or {}).get("drop")
        return drop is not None and drop["verdict"] != "worse" and not any(map(_ships_nothing, self.record["folds"]))


@dataclass(frozen=True)
class Crossval:
    """What a cross-validation works with.

    Attributes:
        root: Its folder; folds are below, as fold_K.
        name: Of the record in it: target and budget, so that another one's answer is kept.
        data: All images.
        splits: One a fold, from `folds.divide`.
        run_fold: Runs a fold.
        max_drop: Largest drop of Dice from teacher to shipped that is accepted, as a share.
        question: What every fold's answer depends on beside its images.
        only: Folds that are run here, or None for all; of the others the answers that are there are used.
    """

    root: Path
    name: str
    data: DataSet
    splits: Sequence[dict[str, str]]
    run_fold: FoldRun
    max_drop: float
    question: Record
    only: Sequence[int] | None = None

    def run(self, about: Record, progress: ChainProgress) -> CrossvalResult:
        """Run and test fold after fold, and write down what they say together.

        Args:
            about: What was asked: put at the head of the record.
            progress: Told what is done, steps named `fold K of N, STEP`.

        Raises:
            ConfigError: If another process is at a fold that is to be run here.
            EdgesegError: From what stops every fold, such as a target that disappears; what is done is kept.
        """
        data_sha256 = content_hash(self.data)  # the same for every fold: they differ in their split alone
        folds = [self._fold(number, data_sha256) for number in range(len(self.splits))]
        wanted = [fold for fold in folds if self.only is None or fold.number in self.only]
        failed = {fold.number: self._see_to(fold, progress) for fold in wanted}
        # Read now, for other processes may have answered meanwhile.
        answers = [failed.get(fold.number) or self._answer(fold) or _not_run(fold) for fold in folds]
        scored = [answer.scores for answer in answers if answer.scores is not None]
        rows = [answer.row | (self._figures(answer.scores) if answer.scores else {}) for answer in answers]
        pooled = self._figures(joined(scored)) if scored else None
        record = _head(self.data) | about | {"max_drop": self.max_drop, "n_folds": len(rows), "folds": rows}
        record |= {"pooled": pooled, "n_folds_tested": len(scored)}
        record["warnings"] = _warnings(rows)
        record["sentence"] = sentence(pooled, self.max_drop, len(self.data.samples))
        result = CrossvalResult(record, self.root / f"{self.name}.json")
        write_json(result.path, record)
        return result

    def _answer(self, fold: _Fold) -> Answer | None:
        """What is on disk; where nothing is to be run, what an earlier version has left counts too."""
        answer = load_answer(fold.answer)
        if answer is None and self.only is not None and not self.only:
            answer = load_recorded(fold.answer.parent, fold.number, fold.question)
        return answer

    def _figures(self, scores: Scores) -> Record:
        return figures(scores, self.data.classes, self.max_drop)

    def _fold(self, number: int, data_sha256: str) -> _Fold:
        """A fold's images, and where its answer belongs; its folder is left alone: another process may be in it."""
        split = self.splits[number]
        data = replace(self.data, samples=tuple(replace(one, split=split[one.stem]) for one in self.data.samples))
        question = self.question | {"data_sha256": data_sha256, "split_sha256": split_hash(data)}
        root = self.root / f"fold_{number}"
        return _Fold(number, root, data, question, answer_folder(self.root / self.name, number, question))

    def _see_to(self, fold: _Fold, progress: ChainProgress) -> Answer | None:
        """Put a fold's answer on disk; a failure of this fold alone is returned instead, and tried again next time."""
        with alone_in(fold.root, "name other folds with --fold"):
            if load_answer(fold.answer) is not None:
                return None
            write_fold(fold.root / "data", self.data, self.splits[fold.number])
            place = f"fold {fold.number + 1} of {len(self.splits)}, "
            try:
                result = self.run_fold(fold.root, lambda step, share, words: progress(place + step, share, words))
            except (TrainingError, ExportError, BackendError) as err:
                return Answer(fold.row | {"status": "failed", "reason": str(err)}, None)
            scores = result.scores and {name: list(result.scores[name]) for name in ROWS}
            save_answer(fold.answer, fold.question, Answer(fold.row | result.row, scores))
            shutil.rmtree(fold.root / "views", ignore_errors=True)  # gigabytes a fold, and of no more use
            return None


@dataclass(frozen=True)
class _Fold:
    """One fold: its images, the folder of its run, and what is asked."""

    number: int
    root: Path
    data: DataSet
    question: Record
    answer: Path

    @property
    def row(self) -> Record:
        images = {name: len(self.data.split(name)) for name in ("train", "val", "test")}
        return {"fold": self.number, "status": "ok", "reason": None, "images": images}


def _ships_nothing(row: Record) -> bool:
    """Of a fold that was run: it has no network, or a gate keeps it."""
    return row["status"] not in ("ok", _NOT_RUN) or bool(row.get("refused") or row.get("not_learned"))


def _not_run(fold: _Fold) -> Answer:
    others = list(fold.answer.parent.glob(f"fold_{fold.number}-*/fold.json"))
    reason = "it was not to be run here, and no answer is there"
    if others:
        reason += f" but to {len(others)} other question(s): another recipe, setting, --way, data or version"
    return Answer(fold.row | {"status": _NOT_RUN, "reason": reason}, None)


def fold_weights(weights: dict[str, float], n_folds: int, only: Sequence[int] | None = None) -> dict[str, float]:
    """Rough shares of time by step, for the folds that are run, in turn; None for all of them."""
    run = range(n_folds) if only is None else sorted(set(only))
    return {f"fold {k + 1} of {n_folds}, {name}": weight for k in run for name, weight in weights.items()}


def _warnings(rows: Sequence[Record]) -> list[Record]:
    """The folds' warnings, each with its fold; folds recorded before there were any have none."""
    return [one | {"fold": row["fold"]} for row in rows for one in row.get("warnings") or []]


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
