"""The parts of a search for a network within the budget, and how long each takes beside the others."""

from __future__ import annotations

from edgeseg.pipeline.recipe.recipe import Recipe
from edgeseg.pipeline.recipe.start import NONE


def search_parts(recipe: Recipe) -> dict[str, float]:
    """Rough weight of each part by name, for the progress bar: an epoch of the student weighs 0.3."""
    section, first, budget = recipe.fit, recipe.train.seed, recipe.budget
    searched = section.ways if len(section.ways) > 1 else ()  # one way alone needs no contest
    epochs: dict[str, float] = {f"search_{name}": section.search_epochs for name in searched}
    epochs |= {f"round_{done}": section.round_epochs for done in range(1, section.rounds)}
    epochs |= {f"final_{seed}": section.final_epochs for seed in range(first, first + section.final_seeds)}
    baselines = [name for name in section.baselines if name != "thin_pretrained" or recipe.student.init != NONE]
    of_method, of_student = section.final_epochs, recipe.student.epochs
    epochs |= {f"{name}_{first}": of_method if name == "random_largest" else of_student for name in baselines}
    measured = {"latency_table": 10.0, "cut": 6.0} if budget is not None and budget.is_timed else {"cut": 1.0}
    return measured | {name: 0.3 * count for name, count in epochs.items()}
