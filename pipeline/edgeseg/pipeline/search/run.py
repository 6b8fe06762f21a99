"""A fit in a run's folder: the chain up to the student first, then the search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeseg.compress.search.budget import Budget
from edgeseg.pipeline.chain.chain import ChainProgress
from edgeseg.pipeline.chain.lock import alone_in
from edgeseg.pipeline.plan.run import RecipeChain
from edgeseg.pipeline.recipe.fit_section import STUDENTS
from edgeseg.pipeline.recipe.recipe import Recipe
from edgeseg.pipeline.search.order import FitOrder
from edgeseg.pipeline.search.student import trained

# Goes up when what is recorded of the shipped file means something else. It is part of a cross-validation's question,
# and was not raised when ratios came to be taken round by round: recorded folds would be lost for a figure that does
# not decide their verdict.
SHIPPED_VERSION = 3


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
    from edgeseg.pipeline.plan.run import make_chain

    chain = make_chain(recipe, order.data, order.out)
    with alone_in(chain.root):
        return fit_chain(chain, budget, order, progress)


def fit_chain(chain: RecipeChain, budget: Budget, order: FitOrder, progress: ChainProgress) -> Any:
    """The same in the folder of a given chain; of `order` only the latency table's place and the command are used.

    Raises:
        ConfigError: If the recipe or the budget cannot be fitted on this target; nothing is trained.
        EdgesegError: As `run_fit`.
    """
    from edgeseg.pipeline.search.assembly import fit_trained
    from edgeseg.pipeline.target.fit_target import check_target

    check_target(chain, budget)  # what cannot be measured is refused before hours of training
    return fit_trained(chain, trained(chain, progress), budget, order, progress)


def fit_folder(root: Path, budget: Budget) -> Path:
    """Place of a fit in a run's folder: one a budget, so that asking for another keeps what was trained for this."""
    return root / "fit" / budget.target / str(budget).replace("=", "-").replace(",", "_")


def fit_weights(recipe: Recipe) -> dict[str, float]:
    """Rough share of each part's time by name, for the progress bar."""
    from edgeseg.pipeline.plan.plan import plan_steps

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
