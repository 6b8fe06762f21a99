"""`edgeseg fit`: from a trained teacher to the best network within a budget."""

from __future__ import annotations

from edgeseg.pipeline.commands.failures import Stop, reported
from edgeseg.pipeline.commands.options import RUNS, Assignments, Data, Json, Limits, Out, Recipe, Target, invocation
from edgeseg.pipeline.search.order import FitOrder
from edgeseg.runtime.errors import GATE, OK


def fit(
    recipe: Recipe,
    target: Target = None,
    budget: Limits = None,
    data: Data = None,
    out: Out = RUNS,
    assignments: Assignments = None,
    as_json: Json = False,
) -> None:
    """From a trained teacher to the best network within what a device can afford, beside two cheap baselines.

    Layers are timed on the target, candidates are searched, pruned, trained and measured; the better of method and
    baseline on val ships. A fit that was stopped goes on where it was; no finished training is repeated.
    """
    with reported(debug=invocation.debug):
        met = carry_out_fit(FitOrder(recipe, target, budget, data, out, tuple(assignments or ())), as_json=as_json)
        raise Stop(OK if met else GATE)


def carry_out_fit(order: FitOrder, *, as_json: bool) -> bool:
    """Fit with a progress bar and print what came of it.

    Returns:
        Whether a network holds the budget and has learned something.

    Raises:
        EdgesegError: From the recipe, or from what failed.
    """
    from edgeseg.pipeline.commands.fit_text import fit_json, fit_text
    from edgeseg.pipeline.commands.progress import chain_progress
    from edgeseg.pipeline.commands.shown import show
    from edgeseg.pipeline.recipe.files import find_recipe
    from edgeseg.pipeline.recipe.recipe import load_recipe
    from edgeseg.pipeline.search.order import budget_of
    from edgeseg.pipeline.search.run import fit_weights, run_fit

    recipe = load_recipe(find_recipe(order.recipe), order.assignments)
    budget = budget_of(order, recipe)
    with chain_progress(fit_weights(recipe)) as progress:
        result = run_fit(recipe, budget, order, progress)
    show(fit_json(result), fit_text(result), as_json=as_json)
    return bool(result.passed)
