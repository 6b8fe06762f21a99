"""Keys that recipes have got since the first folds were recorded, each with the value that is as if it were not there.

A key that is in neither table makes every question another one than the recorded: a fold that did not know it may have
come to anything.
"""

from __future__ import annotations

from typing import Any

from edgeseg.pipeline.recipe.sections.gates import LEAST_SKILL
from edgeseg.pipeline.recipe.start import NONE

# Not said in a question where they hold this, so that it keeps the folder of its answer.
_UNSAID: dict[str, Any] = {
    "gates.min_skill": LEAST_SKILL,
    "gates.max_region_recall_drop": None,
    "teacher.encoder": NONE,
    "teacher.seeds": 1,
    "student.init": NONE,
    **{f"distill.{key}": False for key in ("calibrate", "flips")},
    **{f"distill.{key}": 0.0 for key in ("boundary_weight", "channel_weight", "hint_weight")},
    **{f"distill.{key}": None for key in ("unlabelled", "teacher")},
    "quantize.qat": None,
}

# Said in every question of today.
_SAID: dict[str, Any] = {
    "bundle_version": "1",
    "train.ema": 0.0,
    "student.output_stride": 2,
    "student.decoder_width": None,
    "student.seeds": 1,
    "export.also": [],
    "reference.base": 32,
    "reference.depth": 5,
    "reference.upsampling": "transposed",
    "budget.macs_ratio": None,
}

AS_IF_NOT_THERE = _UNSAID | _SAID


def leave_unsaid(recipe: dict[str, Any]) -> None:
    """Take out of a recipe's JSON what it says that is as if it were not there.

    Args:
        recipe: Of `Recipe.to_json`; changed.
    """
    for place, value in _UNSAID.items():
        section, key = place.split(".")
        if recipe[section][key] == value:
            del recipe[section][key]
