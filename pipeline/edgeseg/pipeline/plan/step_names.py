"""Names of the chain's steps, known before there is a recipe: the command line has one command for each."""

from __future__ import annotations

from edgeseg.pipeline.plan.layout import ROWS
from edgeseg.pipeline.plan.plan import plan_steps
from edgeseg.pipeline.recipe.recipe import DataConfig, Recipe
from edgeseg.runtime.input_spec import Geometry

# What people ask for; exports for scoring, the scores themselves and the choices are there too, but not listed.
LISTED = (*(row.name for row in ROWS), "ranges", "plan_files", "ship", "bundle", "report")


def step_names() -> tuple[str, ...]:
    """All steps, in the order they run; which ones there are does not depend on a recipe's settings."""
    any_recipe = Recipe(name="any", data=DataConfig(name="synthetic"), geometry=Geometry(mode="native"))
    return tuple(step.name for step in plan_steps(any_recipe))
