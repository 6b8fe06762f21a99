"""`edgeseg crossval`: options of the command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.pipeline.commands.options import RUNS, Assignments, Data, Json, Limits, Out, Recipe, Target, invocation
from edgeseg.pipeline.text.failures import Stop, reported
from edgeseg.runtime.errors import GATE, OK

if TYPE_CHECKING:
    from edgeseg.pipeline.crossval.order import CrossvalOrder


def crossval(
    recipe: Recipe,
    folds: Annotated[int, typer.Option(help="Parts of the data set, 3 or more; each is tested once.")] = 5,
    target: Target = None,
    budget: Limits = None,
    way: Annotated[
        str | None,
        typer.Option(
            help="One way to cut, such as taylor-depth. Default: the recipe's fit.way, else each fold chooses.",
            metavar="NAME",
        ),
    ] = None,
    max_drop: Annotated[
        float, typer.Option(help="Dice that the shipped network may lose against its teacher, as a share.")
    ] = 0.005,
    fold: Annotated[
        list[int] | None,
        typer.Option(help="Run this fold alone, from 0; may be repeated. Others count if their answers are there."),
    ] = None,
    join: Annotated[bool, typer.Option("--join", help="Run nothing; say what the answers that are there say.")] = False,
    data: Data = None,
    out: Out = RUNS,
    assignments: Assignments = None,
    as_json: Json = False,
) -> None:
    """Fit on every fold of a data set, and say from all its images whether what ships is as good as the teacher.

    Every image is tested once, by networks that have not seen it. A fold is a whole fit: trainings, search, INT8 file;
    with one seed and without baselines. A cross-validation that was stopped
    goes on where it was, and folds may run on several machines, or side by side on one: give all the same
    --way and --set, copy the folders OUT/NAME/crossval/TARGET_BUDGET/fold_K-* together, and --join them.
    """
    with reported(debug=invocation.debug):
        if fold and join:
            raise typer.BadParameter("--fold runs folds and --join runs none; give one of them")
        from edgeseg.pipeline.crossval.order import CrossvalOrder

        only = () if join else (tuple(fold) if fold else None)
        settings = tuple(assignments or ())
        order = CrossvalOrder(recipe, target, budget, data, out, settings, folds, way, max_drop, only)
        passed = carry_out_crossval(order, as_json=as_json)
        raise Stop(OK if passed else GATE)


def carry_out_crossval(order: CrossvalOrder, *, as_json: bool) -> bool:
    """Cross-validate with a progress bar and print what came of it.

    Returns:
        Whether the shipped networks are not worse than allowed; False as well where a fold ships nothing.

    Raises:
        EdgesegError: From the recipe, the data set, or what failed in every fold.
    """
    from edgeseg.pipeline.crossval.order import crossval_of
    from edgeseg.pipeline.text.crossval import crossval_json, crossval_text
    from edgeseg.pipeline.text.progress import chain_progress
    from edgeseg.pipeline.text.shown import show

    work, asked, weights = crossval_of(order)
    with chain_progress(weights) as progress:
        result = work.run(asked, progress)
    show(crossval_json(result), crossval_text(result), as_json=as_json)
    return result.passed
