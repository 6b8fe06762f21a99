"""An order for a run of the chain, as the command line takes it, and carrying it out."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from edgeseg.pipeline.commands.there import Device, find_there


@dataclass(frozen=True)
class Order:
    """What a run of the chain is told.

    Attributes:
        recipe: A file, or the name of a recipe that comes with edgeseg.
        data: Folder of the data set, or None for the one the recipe names.
        out: Where runs are kept.
        only: Stop after this step.
        assignments: Settings changed for this run, `key=value`.
        images: Whether the report shows test images.
        as_json: Whether the result is printed as JSON.
        target: Of the budget, or None for the recipe's.
        budget: Such as `latency_ms=2`, or None for the recipe's.
        needs_budget: Whether a run without a budget is not what was meant.
        device: Where the budget is held.
    """

    recipe: str
    data: Path | None
    out: Path
    only: str | None
    assignments: tuple[str, ...]
    images: bool
    as_json: bool
    target: str | None = None
    budget: str | None = None
    needs_budget: bool = False
    device: Device = field(default_factory=Device)

    @property
    def command(self) -> str:
        """The command that makes the same run, for the report; how its result is printed is no part of it."""
        words = ["edgeseg", "run", self.recipe]
        words += ["--target", self.target] if self.target else []
        words += ["--budget", self.budget] if self.budget else []
        words += self.device.words
        words += ["--data", str(self.data)] if self.data is not None else []
        words += [word for assignment in self.assignments for word in ("--set", assignment)]
        return shlex.join(words)


def carry_out(order: Order) -> int:
    """Run the chain with a progress bar and print what came of it.

    Returns:
        The exit code: that a gate failed, or how the step of `only` ended.

    Raises:
        EdgesegError: From the recipe or the step that failed.
    """
    from edgeseg.pipeline.chain.chain import needed_steps
    from edgeseg.pipeline.plan.plan import plan_steps
    from edgeseg.pipeline.plan.run import run_recipe
    from edgeseg.pipeline.recipe.files import find_recipe
    from edgeseg.pipeline.recipe.given_budget import with_budget
    from edgeseg.pipeline.recipe.recipe import load_recipe
    from edgeseg.pipeline.text.progress import chain_progress
    from edgeseg.pipeline.text.run import run_json, run_text
    from edgeseg.pipeline.text.shown import show

    recipe = load_recipe(find_recipe(order.recipe), order.assignments)
    target, there = find_there(order.device, recipe, order.target, order.budget)
    recipe = with_budget(recipe, target, order.budget, needed=order.needs_budget)
    steps = plan_steps(recipe)
    needed = needed_steps(steps, order.only)
    weights = {step.name: step.weight for step in steps if step.name in needed and step.left_out is None}
    with chain_progress(weights) as progress:
        result = run_recipe(
            recipe,
            order.data,
            order.out,
            progress,
            only=order.only,
            images=order.images,
            command=order.command,
            there=there,
        )
    show(run_json(result), run_text(result), as_json=order.as_json)
    return result.exit_code
