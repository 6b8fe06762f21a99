"""What a cross-validation is told, and what its folds make of it."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.compress.calibration.folder import ImageFolder, recipe_folder, unlabelled_folder
from edgeseg.compress.distill.given.named_file import teacher_file, teacher_sha256
from edgeseg.compress.search.budget import Budget
from edgeseg.pipeline.crossval.added import leave_unsaid
from edgeseg.pipeline.recipe.recipe import Recipe
from edgeseg.pipeline.recipe.start import student_start
from edgeseg.runtime.errors import ConfigError

if TYPE_CHECKING:
    from edgeseg.pipeline.crossval.crossval import Crossval
    from edgeseg.runtime.data.dataset import DataSet

DEFAULT_FOLDS = 5
MAX_DROP = 0.005

# A fold is a run of what ships: its rivals and other seeds say nothing about the claim. What a user sets goes before.
_REDUCED = ("student.seeds=1", "fit.final_seeds=1", "fit.baselines=[]")

_DECIDE_NOTHING = ("bundle", "report")


@dataclass(frozen=True)
class CrossvalOrder:
    """What `edgeseg crossval` is told.

    Attributes:
        recipe: A file, or the name of a recipe that comes along.
        target: Of the budget, or None for the recipe's.
        budget: Such as `latency_ms=2`, or None for the recipe's.
        data: Folder of the data set, or None for the one the recipe names.
        out: Where runs are kept.
        assignments: Settings changed for all folds, `key=value`.
        folds: Number of parts, 3 or more.
        way: Name of the one way to cut; None for what the recipe says.
        max_drop: Largest drop of Dice from teacher to shipped that is accepted, as a share.
        only: Folds to run here, from 0; None for all, empty to join the answers that are there.
    """

    recipe: str
    target: str | None
    budget: str | None
    data: Path | None
    out: Path
    assignments: tuple[str, ...] = ()
    folds: int = DEFAULT_FOLDS
    way: str | None = None
    max_drop: float = MAX_DROP
    only: tuple[int, ...] | None = None

    @property
    def command(self) -> str:
        """The command that makes the same cross-validation."""
        words = ["edgeseg", "crossval", self.recipe]
        words += ["--target", self.target] if self.target else []
        words += ["--budget", self.budget] if self.budget else []
        words += ["--data", str(self.data)] if self.data is not None else []
        words += [word for assignment in self.assignments for word in ("--set", assignment)]
        words += ["--folds", str(self.folds)]
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
    from edgeseg.pipeline.crossval.fold import fold_run
    from edgeseg.pipeline.crossval.folds import divide, join_copies
    from edgeseg.pipeline.plan.plan import plan_steps
    from edgeseg.pipeline.plan.run import data_root
    from edgeseg.pipeline.recipe.data_said import say_data
    from edgeseg.runtime.data.dataset import open_dataset

    recipe = reduced(order)
    budget = recipe.budget
    assert budget is not None, "a fold needs one"
    run_folder = order.out / recipe.name
    # Without the split of a run: folds have their own.
    opened = open_dataset(data_root(recipe, order.data, run_folder), seed=recipe.data.seed)
    say_data(opened)
    data = join_copies(opened)
    work = Crossval(
        root=run_folder / "crossval",
        name=f"{budget.target}_{budget}".replace("=", "-").replace(",", "_"),
        data=data,
        splits=divide(data, order.folds, recipe.data.seed),
        run_fold=fold_run(_as_seen_from(recipe, data, run_folder / "crossval" / "fold_0" / "data"), order.out),
        max_drop=order.max_drop,
        question=_question(recipe, data),
        only=order.only,
    )
    weights = fold_weights({step.name: step.weight for step in plan_steps(recipe)}, order.folds, order.only)
    return work, _asked(order, recipe, budget), weights


def reduced(order: CrossvalOrder) -> Recipe:
    """The recipe of a fold, with its budget.

    Raises:
        ConfigError: If the recipe, a setting, the number of folds, the way or the accepted drop is none.
    """
    from edgeseg.pipeline.crossval.folds import check_count
    from edgeseg.pipeline.recipe.files import find_recipe
    from edgeseg.pipeline.recipe.given_budget import with_budget
    from edgeseg.pipeline.recipe.recipe import load_recipe
    from edgeseg.pipeline.recipe.sections.fit import WAYS

    check_count(order.folds)
    if order.way not in (None, *WAYS):
        raise ConfigError(f"--way is {order.way!r}; known are {', '.join(WAYS)}; left out, each fold chooses")
    for number in order.only or ():
        if not 0 <= number < order.folds:
            raise ConfigError(f"--fold is {number}; with --folds {order.folds} use 0 to {order.folds - 1}")
    if not 0.0 <= order.max_drop < 1.0:
        raise ConfigError(f"--max-drop is {order.max_drop:g}; it is a share of Dice, such as {MAX_DROP} for 0.5 points")
    path = find_recipe(order.recipe)
    load_recipe(path, order.assignments)  # what the user has set is told first where it is wrong
    way = () if order.way is None else (f"fit.way={order.way}", f"fit.depth={str(order.way.endswith('depth')).lower()}")
    recipe = load_recipe(path, (*_REDUCED, *order.assignments, *way))
    return with_budget(recipe, order.target, order.budget, needed=True)


def _question(recipe: Recipe, data: DataSet) -> dict[str, Any]:
    """What a fold's answer depends on beside its images: the recipe, calibration images, what steps make of them."""
    from edgeseg.pipeline.plan.plan import plan_steps

    folder, unlabelled = recipe_folder(data, recipe.quantize.folder), unlabelled_folder(data, recipe.distill.unlabelled)
    asked = recipe.to_json()
    leave_unsaid(asked)
    start = student_start(recipe.student.init, recipe.student.width, recipe.student.depth)
    if start is not None:
        asked["student"]["init"] = start.sha256
    return {
        "recipe": asked,
        "calibration_sha256": None if folder is None else folder.sha256,
        **({} if unlabelled is None else {"unlabelled_sha256": unlabelled.sha256}),
        **({} if recipe.distill.teacher is None else {"teacher_sha256": teacher_sha256(data, recipe.distill.teacher)}),
        "versions": {step.name: step.version for step in plan_steps(recipe) if step.name not in _DECIDE_NOTHING},
    }


def _as_seen_from(recipe: Recipe, data: DataSet, fold_data: Path) -> Recipe:
    """The recipe with its folders and its teacher's file as seen from a fold's data set, all of which lie alike.

    Raises:
        ConfigError: If a folder cannot be used; every image of `data` is tested in some fold, so none may be in it.
    """
    tested = replace(data, samples=tuple(replace(sample, split="test") for sample in data.samples))

    def seen(found: ImageFolder | Path | None, given: str | None) -> str | None:
        if found is None or Path(str(given)).expanduser().is_absolute():
            return given
        return os.path.relpath((data.root / str(given)).resolve(), fold_data.resolve())

    quantize, distill = recipe.quantize, recipe.distill
    calibration = seen(recipe_folder(tested, quantize.folder), quantize.folder)
    unlabelled = seen(unlabelled_folder(tested, distill.unlabelled), distill.unlabelled)
    teacher = seen(teacher_file(data, distill.teacher), distill.teacher)
    distill = replace(distill, unlabelled=unlabelled, teacher=teacher)
    return replace(recipe, quantize=replace(quantize, folder=calibration), distill=distill)


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
