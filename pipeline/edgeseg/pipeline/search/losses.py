"""What the shipped file of a fit loses: against the FP32 teacher, and against itself before it was quantised."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edgeseg.benchmarks.subject import Subject
from edgeseg.pipeline.learned.skill import skill_of
from edgeseg.pipeline.target.fit_target import LocalTarget
from edgeseg.runtime.score.drops import Scores, dice_drop, recall_drop
from edgeseg.runtime.score.evaluate import save_scores
from edgeseg.runtime.score.metrics import summarize

SPLITS = ("val", "test")
# Allowed losses of Dice: of the whole way from the teacher, and of quantization alone.
BUDGETS = {"teacher": 0.005, "fp32": 0.003}


def losses(target: LocalTarget, shipped: Subject, references: Mapping[str, Subject], folder: Path) -> dict[str, Any]:
    """Score the file that ships and its references on val and test, and compare them image by image.

    Args:
        target: Its data set and engine.
        shipped: The file that ships; nothing is chosen any more.
        references: `teacher` and `fp32`, the same network in FP32.
        folder: Gets `scores_SPLIT.json` of the shipped file.

    Returns:
        `accuracy` and `skill` (see `learned.skill`) of the shipped file, and
        `references.NAME.{accuracy,dice_drop,recall_drop}`, each by split; a drop is `mean lo95 hi95 n_images n_groups
        verdict budget`, positive where the shipped file is lower, or None where the split holds no foreground. Of
        regions found none may be lost.
    """
    own = {split: _scores(target, shipped, split) for split in SPLITS}
    for split, scores in own.items():
        save_scores(folder / f"scores_{split}.json", scores)
    found: dict[str, Any] = {"accuracy": {split: _summary(target, own[split]) for split in SPLITS}, "references": {}}
    found["skill"] = skill_of(own["val"], target.data.classes[1:])
    for name, subject in references.items():
        others = {split: _scores(target, subject, split) for split in SPLITS}
        found["references"][name] = {
            "accuracy": {split: _summary(target, others[split]) for split in SPLITS},
            "dice_drop": {split: _judged(dice_drop, others[split], own[split], BUDGETS[name]) for split in SPLITS},
            "recall_drop": {split: _judged(recall_drop, others[split], own[split], 0.0) for split in SPLITS},
        }
    return found


def _scores(target: LocalTarget, subject: Subject, split: str) -> Scores:
    return target.score_file(subject.model, subject.spec, split)


def _summary(target: LocalTarget, scores: Scores) -> dict[str, Any]:
    return summarize(scores, target.data.classes)


def _judged(drop: Callable[..., Any], reference: Scores, own: Scores, budget: float) -> dict[str, Any] | None:
    found = drop(reference, own, budget)
    return None if found is None else found | {"budget": budget}
