"""A network that is trained with several seeds: each training in a folder of its own, the best on val goes on.

files/             the checkpoint, export or scores of the training that is best on val
files/seed_K/      those of each training, where there are several

What decides between methods is the mean over seeds (`plan.shown`); the best training of each is what could ship.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from typing import Any

from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.pipeline.chain.store import StepFolder
from edgeseg.pipeline.plan.seed_folders import seed_folder
from edgeseg.pipeline.recipe.recipe import TrainSection

Result = dict[str, Any]


def train_seeds(context: StepContext, n_seeds: int, train: Callable[[StepContext], Result]) -> Result:
    """Train with the recipe's seed and those after it; a run that was killed repeats no training that was finished.

    Args:
        context: Of the step.
        n_seeds: Trainings.
        train: Trains in the context that it is handed, whose section `train` has the seed; views of a teacher are
            those of the recipe's own seed for all of them.

    Returns:
        The result of the training that is best on val by `val_dice_at_network_size`, of equals the first, with its
        `seed`; and `seeds`, a row a training.
    """
    if n_seeds == 1:
        return train(context)
    first = context.section("train", TrainSection).seed
    results: dict[int, Result] = {}
    for index in range(n_seeds):
        seed = first + index
        one = _of_seed(context, seed, index, n_seeds)
        record = one.folder.load(str(seed))
        if record is None:
            record = one.folder.fill(str(seed), lambda one=one: train(one))  # type: ignore[misc]
        results[seed] = record["result"]
    key = "val_dice_at_network_size"
    best = max(results, key=lambda seed: results[seed][key])
    for seed in results:
        trained = _folder(context, seed).files
        shutil.copytree(trained, seed_folder(context.folder.files, seed))
        if seed == best:
            shutil.copytree(trained, context.folder.files, dirs_exist_ok=True)
    rows = [{"seed": seed, key: result[key]} for seed, result in results.items()]
    return results[best] | {"seed": best, "seeds": rows}


def _of_seed(context: StepContext, seed: int, index: int, n_seeds: int) -> StepContext:
    """The step as if it were for this seed alone."""
    settings = dict(context.settings)
    settings |= {"train": settings["train"] | {"seed": seed}, "views_seed": context.settings["train"]["seed"]}

    def progress(share: float, words: str) -> None:
        context.progress((index + share) / n_seeds, f"seed {seed}: {words}")

    step = dataclasses.replace(context.step, settings=settings)
    return dataclasses.replace(context, step=step, folder=_folder(context, seed), progress=progress)


def _folder(context: StepContext, seed: int) -> StepFolder:
    """In the step's work folder, which is of one key alone."""
    return StepFolder(seed_folder(context.folder.work, seed))
