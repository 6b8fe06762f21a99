"""What a fit is told: which recipe, where, within what budget."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from edgeseg.compress.search.budget import Budget
from edgeseg.pipeline.recipe.recipe import Recipe
from edgeseg.runtime.engines import TARGETS
from edgeseg.runtime.errors import ConfigError


@dataclass(frozen=True)
class FitOrder:
    """What `edgeseg fit` is told; see `cli_fit`."""

    recipe: str
    target: str | None
    budget: str | None
    data: Path | None
    out: Path
    assignments: tuple[str, ...]

    @property
    def command(self) -> str:
        """The command that makes the same fit."""
        words = ["edgeseg", "fit", self.recipe]
        words += ["--target", self.target] if self.target else []
        words += ["--budget", self.budget] if self.budget else []
        words += ["--data", str(self.data)] if self.data is not None else []
        words += [word for assignment in self.assignments for word in ("--set", assignment)]
        return shlex.join(words)


def budget_of(order: FitOrder, recipe: Recipe) -> Budget:
    """The budget of the command line, else that of the recipe.

    Raises:
        ConfigError: If there is none, or the target is unknown.
    """
    stored = recipe.budget
    target = order.target or (stored.target if stored is not None else None)
    if target is None or target not in TARGETS:
        raise ConfigError(
            f"--target is {target!r}; use one of {', '.join(TARGETS)}, or set budget.target in the recipe"
        )
    if order.budget is not None:
        return Budget.parse(order.budget, target)
    if stored is None:
        raise ConfigError("no budget; give --budget latency_ms=2, or a budget section in the recipe")
    return Budget(target, **stored.limits)
