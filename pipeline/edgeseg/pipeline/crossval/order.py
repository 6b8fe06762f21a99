"""What a cross-validation is told, and what its folds make of it."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.compress.calibration.folder import recipe_folder
from edgeseg.compress.search.budget import Budget
from edgeseg.pipeline.recipe.gate_section import LEAST_SKILL
from edgeseg.pipeline.recipe.recipe import Recipe
from edgeseg.pipeline.search.order import FitOrder, budget_of
from edgeseg.pipeline.search.run import SHIPPED_VERSION, fit_weights
from edgeseg.runtime.errors import ConfigError

if TYPE_CHECKING:
    from edgeseg.pipeline.crossval.crossval import Crossval
    from edgeseg.runtime.data.dataset import DataSet

DEFAULT_FOLDS = 5
MAX_DROP = 0.005

# A fold is a fit of what ships: its rivals and other seeds say nothing about the claim. What a user sets goes before.
_REDUCED = ("fit.final_seeds=1", "fit.baselines=[]")


@dataclass(frozen=True)
class CrossvalOrder:
    """What `edgeseg crossval` is told.

    Attributes:
        fit: Recipe, target, budget, data set, settings, and where runs are kept.
        folds: Number of parts, 3 or more.
        way: Name of the one way to cut; None for what the recipe says.
        max_drop: Largest drop of Dice from teacher to shipped that is accepted, as a share.
        only: Folds to run here, from 0; None for all, empty to join the answers that are there.
    """

    fit: FitOrder
    folds: int = DEFAULT_FOLDS
    way: str | None = None
    max_drop: float = MAX_DROP
    only: tuple[int, ...] | None = None

    @property
    def command(self) -> str:
        """The command that makes the same cross-validation."""
        words = ["edgeseg", "crossval", *shlex.split(self.fit.command)[2:], "--folds", str(self.folds)]
        words += ["--way", self.way] if self.way is not None else []
        words += ["--max-drop", f"{self.max_drop:g}"] if self.max_drop != MAX_DROP else []
        words += [word for number in self.only or () for word in ("--fold", str(number))]
        words += ["--join"] if self.only == () else []
        return shlex.join(words)


def crossval_of(order: CrossvalOrder) -> tuple[Crossval, dict[str, Any], dict[str, float]]:
    """The cross-validation that an order means, the head of its record, and the weight of each part.

    Raises:
        EdgesegError: From the recipe or the data set; nothing has been run.
    """
    from edgeseg.pipeline.crossval.crossval import Crossval, fold_weights
    from edgeseg.pipeline.crossval.fold import fold_fit
    from edgeseg.pipeline.crossval.folds import divide, join_copies
    from edgeseg.pipeline.plan.run import data_of

    recipe, assignments = reduced(order)
    budget = budget_of(order.fit, recipe)
    run_folder = order.fit.out / recipe.name
    data = join_copies(data_of(recipe, order.fit.data, run_folder))
    work = Crossval(
        root=run_folder / "crossval",
        name=f"{budget.target}_{budget}".replace("=", "-").replace(",", "_"),
        data=data,
        splits=divide(data, order.folds, recipe.data.seed),
        fit=fold_fit(_calibrated(recipe, data, run_folder / "crossval" / "fold_0" / "data"), budget),
        order=replace(order.fit, assignments=assignments),
        max_drop=order.max_drop,
        question=_question(recipe, data),
        only=order.only,
    )
    weights = fold_weights(fit_weights(recipe), order.folds, order.only)
    return work, _asked(order, recipe, budget), weights


def reduced(order: CrossvalOrder) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe of a fold, and the settings that make it so.

    Raises:
        ConfigError: If the recipe, a setting, the number of folds, the way or the accepted drop is none.
    """
    from edgeseg.pipeline.crossval.folds import check_count
    from edgeseg.pipeline.recipe.files import find_recipe
    from edgeseg.pipeline.recipe.fit_section import WAYS
    from edgeseg.pipeline.recipe.recipe import load_recipe

    check_count(order.folds)
    if order.way not in (None, *WAYS):
        raise ConfigError(f"--way is {order.way!r}; known are {', '.join(WAYS)}; left out, each fold chooses")
    for number in order.only or ():
        if not 0 <= number < order.folds:
            raise ConfigError(f"--fold is {number}; with --folds {order.folds} use 0 to {order.folds - 1}")
    if not 0.0 <= order.max_drop < 1.0:
        raise ConfigError(f"--max-drop is {order.max_drop:g}; it is a share of Dice, such as {MAX_DROP} for 0.5 points")
    path = find_recipe(order.fit.recipe)
    load_recipe(path, order.fit.assignments)  # what the user has set is told first where it is wrong
    way = () if order.way is None else (f"fit.way={order.way}", f"fit.depth={str(order.way.endswith('depth')).lower()}")
    assignments = (*_REDUCED, *order.fit.assignments, *way)
    return load_recipe(path, assignments), assignments


def _question(recipe: Recipe, data: DataSet) -> dict[str, Any]:
    """What a fold's answer depends on beside its images: the recipe, calibration images, what steps make of them."""
    from edgeseg.pipeline.plan.plan import plan_steps

    folder = recipe_folder(data, recipe.quantize.folder)
    asked = recipe.to_json()
    if recipe.gates.min_skill == LEAST_SKILL:
        del asked["gates"]["min_skill"]  # at its default no part of the question: folds recorded before it are found
    return {
        "recipe": asked,
        "calibration_sha256": None if folder is None else folder.sha256,
        # The chain's bundle decides no answer; its version stays the one of recorded folds.
        "versions": {step.name: step.version for step in plan_steps(recipe)}
        | {"shipped": SHIPPED_VERSION, "bundle": 1},
    }


def _calibrated(recipe: Recipe, data: DataSet, fold_data: Path) -> Recipe:
    """The recipe with its folder of calibration images as seen from a fold's data set, all of which lie alike.

    Raises:
        ConfigError: If the folder cannot be used; every image of `data` is tested in some fold, so none may be in it.
    """
    given = recipe.quantize.folder
    tested = tuple(replace(sample, split="test") for sample in data.samples)
    if recipe_folder(replace(data, samples=tested), given) is None or Path(str(given)).expanduser().is_absolute():
        return recipe
    folder = os.path.relpath((data.root / str(given)).resolve(), fold_data.resolve())
    return replace(recipe, quantize=replace(recipe.quantize, folder=folder))


def _asked(order: CrossvalOrder, recipe: Recipe, budget: Budget) -> dict[str, Any]:
    """The head of the record: which command, recipe, target, budget and way."""
    return {
        "command": order.command,
        "recipe": {"name": recipe.name, "sha256": recipe.sha256(), "fit": recipe.to_json()["fit"]},
        "target": budget.target,
        "budget": budget.limits,
        "way": {
            "name": recipe.fit.way,
            "source": "recipe" if order.way is None else "--way",
            "student": recipe.fit.student,
        },
    }
