"""`edgeseg fit` as the command line asks for it: what is fitted, where, and the chain up to the student first."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.compress.budget import Budget
from edgeseg.pipeline.chain import Chain, ChainProgress
from edgeseg.pipeline.fit_config import STUDENTS
from edgeseg.pipeline.fit_student import trained
from edgeseg.pipeline.folder_lock import alone_in
from edgeseg.pipeline.recipe import TARGETS, Recipe
from edgeseg.runtime.errors import ConfigError

# Goes up when what is recorded of the shipped file means something else. It is part of a cross-validation's question,
# and was not raised when ratios came to be taken round by round: recorded folds would be lost for a figure that does
# not decide their verdict.
SHIPPED_VERSION = 3


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


def carry_out_fit(order: FitOrder, *, as_json: bool) -> bool:
    """Fit with a progress bar and print what came of it.

    Returns:
        Whether a network holds the budget and has learned something.

    Raises:
        EdgesegError: From the recipe, or from what failed.
    """
    from edgeseg.pipeline.fit_text import fit_json, fit_text
    from edgeseg.pipeline.printed import show
    from edgeseg.pipeline.progress import chain_progress
    from edgeseg.pipeline.recipe import load_recipe
    from edgeseg.pipeline.recipe_files import find_recipe

    recipe = load_recipe(find_recipe(order.recipe), order.assignments)
    budget = budget_of(order, recipe)
    with chain_progress(fit_weights(recipe)) as progress:
        result = run_fit(recipe, budget, order, progress)
    show(fit_json(result), fit_text(result), as_json=as_json)
    return bool(result.passed)


def run_fit(recipe: Recipe, budget: Budget, order: FitOrder, progress: ChainProgress) -> Any:
    """Train what is missing, then fit.

    Args:
        recipe: Checked settings.
        budget: On a target of this machine.
        order: Where things are.
        progress: Told what is done.

    Returns:
        A `fit.FitResult`.

    Raises:
        ConfigError: If another process fills the same run's folder.
        EdgesegError: From the training, export or measurement that failed; everything done before is kept.
    """
    from edgeseg.pipeline.run import make_chain

    chain = make_chain(recipe, order.data, order.out)
    with alone_in(chain.root):
        return fit_chain(chain, budget, order, progress)


def fit_chain(chain: Chain, budget: Budget, order: FitOrder, progress: ChainProgress) -> Any:
    """The same in the folder of a given chain; of `order` only the latency table's place and the command are used.

    Raises:
        ConfigError: If the recipe or the budget cannot be fitted on this target; nothing is trained.
        EdgesegError: As `run_fit`.
    """
    from edgeseg.pipeline.fit_assembly import fit_trained
    from edgeseg.pipeline.fit_target import check_target

    check_target(chain, budget)  # what cannot be measured is refused before hours of training
    return fit_trained(chain, trained(chain, progress), budget, order, progress)


def fit_folder(root: Path, budget: Budget) -> Path:
    """Place of a fit in a run's folder: one a budget, so that asking for another keeps what was trained for this."""
    return root / "fit" / budget.target / str(budget).replace("=", "-").replace(",", "_")


def fit_weights(recipe: Recipe) -> dict[str, float]:
    """Rough share of each part's time by name, for the progress bar."""
    from edgeseg.pipeline.plan import plan_steps

    steps = {step.name: step.weight for step in plan_steps(recipe)}
    before = list(steps)[: list(steps).index("choose_student") + 1]
    left_out = {name for name in STUDENTS if recipe.fit.student not in (None, name)}
    return {name: steps[name] for name in before if name not in left_out} | _search_weights(recipe)


def _search_weights(recipe: Recipe) -> dict[str, float]:
    """What follows the chain; an epoch of the student weighs 0.3."""
    section, first = recipe.fit, recipe.train.seed
    searched = section.ways if len(section.ways) > 1 else ()  # one way alone needs no contest
    epochs: dict[str, float] = {f"search_{name}": section.search_epochs for name in searched}
    epochs |= {f"round_{done}": section.round_epochs for done in range(1, section.rounds)}
    epochs |= {f"final_{seed}": section.final_epochs for seed in range(first, first + section.final_seeds)}
    baselines = {"random_largest": section.final_epochs, "thin_student": recipe.student.epochs}
    epochs |= {f"{name}_{first}": baselines[name] for name in section.baselines}
    measured = {"latency_table": 10.0, "cut": 6.0, "shipped": 10.0}
    return measured | {name: 0.3 * count for name, count in epochs.items()}
