"""Which student a fit cuts, and whose answers its trainings follow: chosen on val by the chain, or named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgeseg.pipeline.chain.chain import ChainProgress, no_progress
from edgeseg.pipeline.plan.layout import ROWS, score_step
from edgeseg.pipeline.plan.run import RecipeChain

_ROWS = {row.name: row for row in ROWS}
_DISTILLED = "student_distilled"


@dataclass(frozen=True)
class TrainedChain:
    """The chain's networks that a fit starts from.

    Attributes:
        records: Of the chain's steps that were needed, by name.
        student: Step of the student that is cut.
        teaches: Step of the network whose answers fine-tuning follows.
    """

    records: dict[str, dict[str, Any]]
    student: str
    teaches: str

    @property
    def taught(self) -> bool:
        """Whether the student was distilled, as baselines from scratch then are too."""
        return self.student == _DISTILLED


def trained(chain: RecipeChain, progress: ChainProgress = no_progress) -> TrainedChain:
    """Train what is missing; with `fit.student` the other student is left out, as a decision made before.

    Raises:
        EdgesegError: From the step that failed; everything done before is kept.
    """
    named = chain.recipe.fit.student
    if named is None:
        records = chain.run(progress, only="choose_student").records
        chosen = records["choose_student"]["result"]
        return TrainedChain(records, chosen["student"], chosen["teaches"])
    scores = {name: score_step(_ROWS[name], "val") for name in ("teacher", named)}
    records = {}
    for step in scores.values():
        records |= chain.run(progress, only=step).records
    teaches = max(scores, key=lambda name: _dice(records[scores[name]]))
    return TrainedChain(records, named, teaches)


def _dice(record: dict[str, Any]) -> float:
    dice = (record["result"]["summary"] or {}).get("dice_mean")
    return -1.0 if dice is None else float(dice)
