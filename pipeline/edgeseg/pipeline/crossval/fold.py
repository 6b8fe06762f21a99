"""One fold: a fit of its own on the fold's data set, then its test images, for teacher, student and what ships."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.compress.search.budget import Budget
from edgeseg.pipeline.chain.chain import ChainProgress
from edgeseg.pipeline.crossval.pool import Record
from edgeseg.pipeline.plan.run import RecipeChain, chain_in
from edgeseg.pipeline.recipe.recipe import Recipe
from edgeseg.pipeline.search.order import FitOrder
from edgeseg.pipeline.search.run import fit_chain
from edgeseg.pipeline.search.student import trained
from edgeseg.runtime.data.dataset import open_dataset
from edgeseg.runtime.score.evaluate import load_scores
from edgeseg.runtime.score.image_score import ImageScore


@dataclass(frozen=True)
class FoldResult:
    """What a fold's fit has come to.

    Attributes:
        fit: Content of its fit.json.
        fit_json: Where it is.
        scores: On the fold's test images, by name of `crossval_pool.ROWS`; None where no network holds the budget.
    """

    fit: Record
    fit_json: Path
    scores: dict[str, list[ImageScore]] | None


# (folder of the fold with its data set in data/, order, told what is done) -> its result
FoldFit = Callable[[Path, FitOrder, ChainProgress], FoldResult]


def fold_fit(recipe: Recipe, budget: Budget) -> FoldFit:
    """The real thing: everything is trained, searched and measured anew; only the target's layer times are shared."""

    def fit(root: Path, order: FitOrder, progress: ChainProgress) -> FoldResult:
        chain = chain_in(root, recipe, root / "data")
        result = fit_chain(chain, budget, order, progress)
        scores = _scores(chain, budget, result, progress) if result.met else None
        return FoldResult(result.record, result.fit_json, scores)

    return fit


def _scores(chain: RecipeChain, budget: Budget, result: Any, progress: ChainProgress) -> dict[str, list[ImageScore]]:
    """What ships was scored on test when it was made; the two it is compared with follow, once."""
    from edgeseg.pipeline.target.fit_target import local_target
    from edgeseg.train.checkpoint import load_checkpoint

    steps = {"teacher": "teacher", "student": trained(chain).student}  # whole by now: only read
    models = {name: load_checkpoint(chain.folder(step).files)[0] for name, step in steps.items()}
    stride = max(int(model.stride) for model in models.values())
    root = result.fit_json.parent
    target = local_target(chain.recipe, open_dataset(chain.data_root), budget.target, stride, root / "scratch")
    fp32 = dataclasses.replace(target, probe=target.fp32)
    found = {"shipped": load_scores(root / "shipped" / "scores_test.json")}
    for name, model in models.items():
        progress("score", 0.5, f"{name} on test")
        found[name] = fp32.score(name, model, "test")  # the teacher's are there since it was compared with what ships
    return found
