"""Trainings of a search: each journalled, bounded by its epochs, and gone on with after an interruption."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.compress.fingerprint import fingerprint
from edgeseg.compress.search.importance import Gates
from edgeseg.pipeline.chain.chain import Step, StepContext
from edgeseg.pipeline.chain.store import StepFolder
from edgeseg.pipeline.plan.layout import TRAINING_VERSION
from edgeseg.pipeline.plan.plan import training_settings
from edgeseg.pipeline.recipe.recipe import Recipe
from edgeseg.pipeline.search.lab import Lab
from edgeseg.pipeline.steps.data import open_data
from edgeseg.pipeline.steps.training import Budget, look_at_gates, train_step
from edgeseg.train.checkpoint import load_checkpoint
from edgeseg.train.models import SegmentationNet
from edgeseg.train.scaled_geometry import scaled


@dataclass(frozen=True)
class Effort:
    """What one training may spend.

    Attributes:
        epochs: Passes over train.
        learning_rate: Peak of the schedule.
        scale: Side of the images as a ratio of the recipe's.
        seed: Of order and augmentation.
    """

    epochs: int
    learning_rate: float
    scale: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Trained:
    """A network that a training left, in evaluation mode.

    Attributes:
        model: Holding the best weights on val.
        folder: Its checkpoint.
        val_dice: Of torch, at the size it was trained at.
    """

    model: SegmentationNet
    folder: Path
    val_dice: float


def train(lab: Lab, name: str, model: SegmentationNet, teacher: SegmentationNet | None, effort: Effort) -> Trained:
    """Train a network, or read back the same training.

    Args:
        lab: The search.
        name: Of the training.
        model: Where it starts; not changed.
        teacher: For distillation, or None.
        effort: Its bounds.

    Raises:
        TrainingError: If the loss is not finite; finished trainings are kept.
    """
    recipe = _adapted(lab.recipe, effort, model, teacher)
    settings = {
        "weights": fingerprint(model),
        "teacher": None if teacher is None else fingerprint(teacher),
        "effort": dataclasses.asdict(effort),
        **_sections(lab, recipe),
        "data": lab.data_key,
        "version": TRAINING_VERSION,
    }

    def run(folder: StepFolder) -> dict[str, Any]:
        context = _context(lab, settings, name, folder)
        budget = Budget(effort.epochs, effort.learning_rate)
        return train_step(context, open_data(context), copy.deepcopy(model), teacher, budget)

    result = lab.journal.train(name, settings, run)
    if lab.journal.reused(name):
        lab.progress(name, 1.0, "unchanged")
    files = lab.journal.training(name).files
    return Trained(load_checkpoint(files)[0], files, float(result["val_dice_at_network_size"]))


def gate_settings(lab: Lab) -> dict[str, Any]:
    """What `gates_of` depends on beside network, teacher and images."""
    return _sections(lab, lab.recipe)


def gates_of(lab: Lab, model: SegmentationNet, teacher: SegmentationNet | None) -> Gates:
    """What `taylor` reads of a network, from some training batches and the loss it is fine-tuned with."""
    context = _context(lab, gate_settings(lab), "gates", StepFolder(lab.journal.root / "gates"))
    return look_at_gates(context, open_data(context), model, teacher, lab.recipe.fit.gate_batches)


def _adapted(recipe: Recipe, effort: Effort, model: SegmentationNet, teacher: SegmentationNet | None) -> Recipe:
    stride = max(model.stride, 1 if teacher is None else teacher.stride)
    geometry = scaled(recipe.geometry, effort.scale, int(stride))
    return dataclasses.replace(recipe, geometry=geometry, train=dataclasses.replace(recipe.train, seed=effort.seed))


def _sections(lab: Lab, recipe: Recipe) -> dict[str, Any]:
    return training_settings(recipe) | recipe.sections("distill") | {"taught_from": dict(lab.taught_from)}


def _context(lab: Lab, settings: dict[str, Any], name: str, folder: StepFolder) -> StepContext:
    return StepContext(
        step=Step(name, (), settings, ""),
        data_root=lab.data_root,
        split_file=lab.split_file,
        folder=folder,
        results={},
        folders={},
        progress=lambda share, words: lab.progress(name, share, words),
        data_key=lab.data_key,
    )
