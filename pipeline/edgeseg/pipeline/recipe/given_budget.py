"""The budget of the command line in the place of the recipe's own."""

from __future__ import annotations

import dataclasses

from edgeseg.compress.search.budget import Budget
from edgeseg.pipeline.recipe.recipe import Recipe
from edgeseg.runtime.engines import BUDGET_TARGETS
from edgeseg.runtime.errors import ConfigError


def with_budget(recipe: Recipe, target: str | None, limits: str | None, *, needed: bool = False) -> Recipe:
    """The recipe with what `--target` and `--budget` say.

    Args:
        recipe: Checked settings.
        target: Of the command line, or None for that of the recipe's budget.
        limits: Such as `latency_ms=2`, or None for those of the recipe's budget.
        needed: Whether there has to be a budget in the end.

    Raises:
        ConfigError: If the target is unknown, a limit is none, or what is needed is missing.
    """
    stored = recipe.budget
    if (target, limits) == (None, None) and (stored is not None or not needed):
        return recipe
    place = target or (stored.target if stored is not None else None)
    if place is None or place not in BUDGET_TARGETS:
        known = ", ".join(BUDGET_TARGETS)
        raise ConfigError(f"--target is {place!r}; use one of {known}, or set budget.target in the recipe")
    if limits is not None:
        return dataclasses.replace(recipe, budget=Budget.parse(limits, place))
    if stored is None:
        raise ConfigError("no budget; give --budget latency_ms=2, or a budget section in the recipe")
    return dataclasses.replace(recipe, budget=Budget(place, **stored.limits))
