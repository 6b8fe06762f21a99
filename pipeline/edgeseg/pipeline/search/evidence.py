"""What a fit is told of the networks it starts from, and what it has to warn of at its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgeseg.pipeline.learned.constant_mask import constant_mask_dice
from edgeseg.pipeline.learned.findings import warnings_of
from edgeseg.pipeline.learned.skill import skill_of
from edgeseg.pipeline.plan.layout import ROWS, score_step
from edgeseg.pipeline.plan.run import RecipeChain
from edgeseg.pipeline.search.student import TrainedChain
from edgeseg.runtime.data.dataset import DataSet
from edgeseg.runtime.errors import DataError
from edgeseg.runtime.score.evaluate import load_scores


@dataclass(frozen=True)
class Evidence:
    """What the chain has recorded of teacher and student.

    Attributes:
        rows: `name parent kind skill` of each.
        histories: Of their trainings, by name.
        constant_dice: From `constant_mask.constant_mask_dice`.
    """

    rows: tuple[dict[str, Any], ...] = ()
    histories: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    constant_dice: float | None = None

    @classmethod
    def of_chain(cls, chain: RecipeChain, before: TrainedChain, data: DataSet) -> Evidence:
        """Read the chain's scores and curves.

        Raises:
            DataError: If the masks of val are of one class everywhere: a fit chooses by val alone.
        """
        layouts = [row for row in ROWS if row.name in ("teacher", before.student)]
        rows = []
        for row in layouts:
            scores = load_scores(chain.folder(score_step(row, "val")).files / "scores.json")
            skill = skill_of(scores, data.classes[1:])
            if skill["value"] is None:
                raise DataError(
                    f"{data.root}: the masks of val are of one class everywhere, so that nothing can be chosen on it; "
                    "give val images of every class (`split` in meta.csv, or another data.seed)"
                )
            rows.append({"name": row.name, "parent": row.parent, "kind": "model", "skill": skill})
        histories = {row.name: before.records[row.name]["result"]["history"] for row in layouts}
        return cls(tuple(rows), histories, constant_mask_dice(data))

    def warnings(
        self, shipped: Mapping[str, Any], history: list[dict[str, Any]] | None, min_skill: float | None
    ) -> list[dict[str, Any]]:
        """The warnings of a fit.

        Args:
            shipped: With the `skill` of the file that ships; empty where none does.
            history: Of its training; None where the student ships as it is.
            min_skill: The gate.
        """
        student = self.rows[-1]["name"] if self.rows else None
        row = {"name": "shipped", "parent": student, "kind": "variant", "skill": shipped.get("skill")}
        curves = self.histories | ({"shipped": history} if history is not None else {})
        return warnings_of([*self.rows, row], curves, min_skill, self.constant_dice)
