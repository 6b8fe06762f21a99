"""`edgeseg fit`: `edgeseg run` by another name, for those who come with a budget."""

from __future__ import annotations

from edgeseg.pipeline.commands.options import (
    RUNS,
    Assignments,
    BenchmarkModel,
    Data,
    Delegate,
    Images,
    Json,
    Limits,
    Meter,
    Offline,
    On,
    Out,
    Recipe,
    Target,
    Wheel,
    invocation,
)
from edgeseg.pipeline.commands.run import Order, carry_out
from edgeseg.pipeline.commands.there import LOCAL, Device
from edgeseg.pipeline.text.failures import Stop, reported


def fit(
    recipe: Recipe,
    target: Target = None,
    budget: Limits = None,
    data: Data = None,
    out: Out = RUNS,
    assignments: Assignments = None,
    images: Images = True,
    as_json: Json = False,
    on: On = None,
    meter: Meter = None,
    wheel: Wheel = None,
    offline: Offline = None,
    benchmark_model: BenchmarkModel = None,
    delegate: Delegate = "cpu",
) -> None:
    """The best network within what a device can afford: `edgeseg run` with a --budget, which has to be there.

    Layers are timed on the target (this machine, or the one of --on), candidates are searched, pruned, trained and
    measured beside cheap baselines; the better on val goes through the rest of the chain and ships.
    """
    with reported(debug=invocation.debug):
        device = Device(on or LOCAL, meter, wheel, offline, benchmark_model, delegate)
        order = Order(recipe, data, out, None, tuple(assignments or ()), images, as_json, target, budget, True, device)
        raise Stop(carry_out(order))
