"""`edgeseg fit`: `edgeseg run` by another name, for those who come with a budget."""

from __future__ import annotations

from edgeseg.pipeline.commands.options import (
    RUNS,
    Assignments,
    Data,
    Images,
    Json,
    Limits,
    Out,
    Recipe,
    Target,
    invocation,
)
from edgeseg.pipeline.commands.run import Order, carry_out
from edgeseg.pipeline.text.failures import Stop, reported
from edgeseg.runtime.errors import GATE, OK


def fit(
    recipe: Recipe,
    target: Target = None,
    budget: Limits = None,
    data: Data = None,
    out: Out = RUNS,
    assignments: Assignments = None,
    images: Images = True,
    as_json: Json = False,
) -> None:
    """The best network within what a device can afford: `edgeseg run` with a --budget, which has to be there.

    Layers are timed on the target, candidates are searched, pruned, trained and measured beside two cheap baselines;
    the better on val goes through the rest of the chain and ships.
    """
    with reported(debug=invocation.debug):
        order = Order(recipe, data, out, None, tuple(assignments or ()), images, as_json, target, budget, True)
        raise Stop(GATE if carry_out(order) else OK)
