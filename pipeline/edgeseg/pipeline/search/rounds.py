"""The method: choose how to cut by short trainings, then go to the budget in rounds, fine-tuning after each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.compress.search.predictor import Figures
from edgeseg.pipeline.search.cut import Cut, Way, cut_to, fill
from edgeseg.pipeline.search.lab import BudgetError, Lab
from edgeseg.pipeline.search.trainings import Effort, Trained, train
from edgeseg.train.models import SegmentationNet
from edgeseg.train.pretrained.weights import Weights


@dataclass(frozen=True)
class Start:
    """What a search starts from.

    Attributes:
        student: The network that is cut, its weights at their best.
        figures: Its measured cost.
        teacher: Whose answers fine-tuning follows, or None.
        checkpoint: Folder of the student.
        name: Step of the chain that trained it.
        weights: What its training started from; None from scratch, or where no baseline starts from it.
    """

    student: SegmentationNet
    figures: Figures
    teacher: SegmentationNet | None
    checkpoint: Path
    name: str = "student"
    weights: Weights | None = None


def all_ways(lab: Lab) -> list[Way]:
    """What the recipe wants tried."""
    return [Way.named(name) for name in lab.recipe.fit.ways]


def reachable(lab: Lab, start: Start) -> tuple[dict[Way, Cut], dict[str, str]]:
    """Cut straight to the budget in every way, before anything is trained.

    Returns:
        The cuts that hold the budget, and why the others do not, by way's name.

    Raises:
        BudgetError: If none does; carries the cheapest network reached.
    """
    cuts: dict[Way, Cut] = {}
    failed: dict[str, BudgetError] = {}
    for way in all_ways(lab):
        try:
            cuts[way] = cut_to(lab, f"straight_{way.name}", start.student, start.teacher, way, lab.aims)
        except BudgetError as err:
            failed[way.name] = err
    if not cuts:
        raise min(failed.values(), key=lambda err: fill(lab.ceilings, err.best))
    return cuts, {name: str(err) for name, err in failed.items()}


def choose_way(lab: Lab, start: Start, cuts: Mapping[Way, Cut]) -> tuple[Way, list[dict[str, Any]]]:
    """Train each cut a little, at reduced size, and take the best on val; one alone needs no contest.

    Returns:
        The way, and a row a training: `way val_dice figures`.
    """
    section = lab.recipe.fit
    if len(cuts) == 1:
        return next(iter(cuts)), []
    rows, dice = [], {}
    for way, cut in cuts.items():
        effort = Effort(section.search_epochs, section.learning_rate, scale=section.search_scale, seed=_seed(lab))
        trained = train(lab, f"search_{way.name}", cut.model, start.teacher, effort)
        dice[way] = trained.val_dice
        rows.append({"way": way.name, "val_dice_at_search_size": trained.val_dice, "figures": cut.figures})
    return max(dice, key=lambda way: dice[way]), rows


def go_in_rounds(lab: Lab, start: Start, way: Way) -> tuple[Cut, list[dict[str, Any]]]:
    """Shrink by equal factors, fine-tune after each round but the last, whose training is the final one.

    Returns:
        The last cut, not yet trained, and a row a round.

    Raises:
        BudgetError: If the last round misses the budget.
    """
    section = lab.recipe.fit
    model, rows = start.student, []
    for done in range(1, section.rounds + 1):
        limits = between(start.figures, lab.aims, done / section.rounds)
        cut = cut_to(lab, f"round_{done}", model, start.teacher, way, limits)
        row = {"round": done, "limits": limits, "figures": cut.figures, "tries": cut.tries, "val_dice": None}
        rows.append(row)
        if done == section.rounds:
            break
        trained = fine_tune(lab, f"round_{done}", cut.model, start.teacher, section.round_epochs)
        row["val_dice"], model = trained.val_dice, trained.model
    return cut, rows


def fine_tune(
    lab: Lab,
    name: str,
    model: SegmentationNet,
    teacher: SegmentationNet | None,
    epochs: int,
    *,
    seed: int | None = None,
) -> Trained:
    """Train a cut network at full size."""
    section = lab.recipe.fit
    seed = _seed(lab) if seed is None else seed
    return train(lab, name, model, teacher, Effort(epochs, section.learning_rate, seed=seed))


def between(figures: Figures, aims: Mapping[str, float], share: float) -> dict[str, float]:
    """Limits on the way from measured figures to the aims, by equal factors; an aim that holds already stays."""
    limits = {}
    for name, aim in aims.items():
        now = figures.get(name)
        limits[name] = aim if now is None or now <= aim else aim * (now / aim) ** (1.0 - share)
    return limits


def _seed(lab: Lab) -> int:
    return lab.recipe.train.seed
