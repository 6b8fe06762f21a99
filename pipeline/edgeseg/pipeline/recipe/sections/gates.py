"""The recipe's `gates` section: what a step may cost."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from edgeseg.runtime.errors import ConfigError

# Below this skill a network has learned nothing that is of use; see docs/measuring.md.
LEAST_SKILL = 0.1


@dataclass(frozen=True)
class GateSection:
    """What a step may cost. Differences of Dice and recall are shares: 0.01 is one point. None switches a gate off.
    A gate of regions that val cannot answer, for it has no such frames, refuses.

    Attributes:
        max_dice_drop: Against the row's parent, on val.
        max_total_dice_drop: Against the teacher, on val; a variant beyond it is not packed.
        max_region_recall_drop: Against the teacher, on val: Dice hardly notices small regions that are no longer found.
        min_region_recall: Of the row itself, on val.
        max_false_regions_per_negative_frame: Of the row itself, on val.
        min_skill: Of a variant itself, on val: how far its Dice is above the best trivial answer's, as a share of what
            is left to 1. A variant below it has learned nothing; it is packed, but refused for every target.
        min_speedup: Against the reference in the same engine, per target; refuses a variant for that target alone.
    """

    max_dice_drop: float | None = 0.02
    max_total_dice_drop: float | None = 0.03
    max_region_recall_drop: float | None = None
    min_region_recall: float | None = None
    max_false_regions_per_negative_frame: float | None = None
    min_speedup: dict[str, float] = field(default_factory=dict)
    min_skill: float | None = LEAST_SKILL

    def __post_init__(self) -> None:
        if self.min_skill is not None and not 0.0 <= self.min_skill < 1.0:
            raise ConfigError(f"gates.min_skill is {self.min_skill:g}; set it from 0 to below 1, or to null for none")

    def of_choices(self) -> GateSection:
        """What the choice between networks depends on; the skill judges what ships alone."""
        return dataclasses.replace(self, min_skill=None)
