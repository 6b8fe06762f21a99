"""What a recipe leaves to the machine, settled once for a run and kept in its folder.

From then on it is part of the recipe, and so of the key of every training: a run that goes on elsewhere keeps its
numbers instead of mixing two kinds of arithmetic.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from edgeseg.pipeline.recipe.recipe import Recipe
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.files.atomic import write_json

FILE = "training.json"


def settled(recipe: Recipe, root: Path) -> Recipe:
    """The recipe with `train.threads` and `train.precision`; what the recipe itself says goes first.

    Args:
        recipe: Checked settings.
        root: The run's folder; the machine's answer is written there the first time.

    Raises:
        ConfigError: If what was written there is damaged.
    """
    train = recipe.train
    if train.threads is not None and train.precision is not None:
        return recipe
    threads, precision = _kept(root / FILE)
    filled = dataclasses.replace(train, threads=train.threads or threads, precision=train.precision or precision)
    return dataclasses.replace(recipe, train=filled)


def _kept(path: Path) -> tuple[int, str]:
    if not path.is_file():
        from edgeseg.train.machine import training_precision, training_threads  # loads torch

        write_json(path, {"threads": training_threads(), "precision": training_precision()})
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return int(kept["threads"]), str(kept["precision"])
    except (ValueError, KeyError, TypeError) as err:
        raise ConfigError(f"{path}: not readable ({err!r}); remove it, and what was trained is trained again") from err
