"""The final rows: the method and its baselines on val, more seeds for the two that matter, and who wins."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgeseg.compress.fingerprint import fingerprint
from edgeseg.compress.search.depth import Depth, parts_gone
from edgeseg.compress.search.predictor import Figures
from edgeseg.pipeline.plan.exports import INT8_VERSION, ranges_settings
from edgeseg.pipeline.plan.shown import shown_worse
from edgeseg.pipeline.search.baselines import (
    Baseline,
    coarse_student,
    random_largest,
    thin_pretrained,
    thin_student,
)
from edgeseg.pipeline.search.cut import Cut, Way
from edgeseg.pipeline.search.lab import BudgetError, Lab
from edgeseg.pipeline.search.rounds import Start, fine_tune
from edgeseg.pipeline.search.trainings import Trained
from edgeseg.runtime.errors import TrainingError
from edgeseg.runtime.score.drops import seeds_drop
from edgeseg.runtime.score.evaluate import load_scores, save_scores
from edgeseg.runtime.score.image_score import ImageScore
from edgeseg.runtime.score.intervals import paired_bootstrap
from edgeseg.runtime.score.metrics import summarize
from edgeseg.train.models import SegmentationNet

_SCORED = 2  # goes up when other files are scored; 2: of the network that `quantize.network` names


@dataclass
class Finalist:
    """A network that could ship, with one training a seed.

    Attributes:
        name: `pruned`, or a baseline's.
        note: What it is.
        figures: Measured cost.
        train: From a seed to the trained network.
        seeds: Trained so far.
        accuracy: By seed: `dice_mean lo95 hi95`, on val, of the file that would ship.
        folders: Checkpoints by seed.
        only: The one seed there is, or None where any can be trained.
        parts: What it has less than the student; None where it is the student.
    """

    name: str
    note: str
    figures: Figures
    train: Callable[[int], Trained]
    seeds: list[int] = field(default_factory=list)
    accuracy: dict[int, dict[str, Any]] = field(default_factory=dict)
    folders: dict[int, Path] = field(default_factory=dict)
    only: int | None = None
    parts: Depth | None = None

    @property
    def dice(self) -> float:
        """Mean over seeds of the mean Dice on val."""
        return statistics.fmean(self.accuracy[seed]["dice_mean"] for seed in self.seeds)

    @property
    def best_seed(self) -> int:
        """The seed whose network is best on val."""
        return max(self.seeds, key=lambda seed: self.accuracy[seed]["dice_mean"])

    def label(self, seed: int) -> str:
        """Its name in a plot."""
        return f"{self.name}, seed {seed}" if len(self.seeds) > 1 else self.name

    def run(self, lab: Lab, seed: int) -> None:
        """Train with a seed, once, and score on val; a seed that cannot be had is passed over."""
        if seed in self.seeds or self.only not in (None, seed):
            return
        trained = self.train(seed)
        self.accuracy[seed] = accuracy_of(lab, f"{self.name}_{seed}", trained.model)
        self.folders[seed] = trained.folder
        self.seeds.append(seed)

    def to_json(self) -> dict[str, Any]:
        """As in search.json."""
        seeds = [{"seed": seed} | self.accuracy[seed] for seed in self.seeds]
        return {
            "name": self.name,
            "note": self.note,
            "figures": self.figures,
            "val_dice_mean": self.dice if self.seeds else None,
            "seeds": seeds,
            "best_seed": self.best_seed if self.seeds else None,
        }


def method_of(lab: Lab, start: Start, cut: Cut, way: Way) -> Finalist:
    """The pruned student, to be trained for the last time."""

    def run(seed: int) -> Trained:
        return fine_tune(lab, f"final_{seed}", cut.model, start.teacher, lab.recipe.fit.final_epochs, seed=seed)

    note = f"the student pruned by {way.name}, then fine-tuned"
    return Finalist("pruned", note, cut.figures, run, parts=parts_gone(start.student.arch, cut.model.arch))


def uncut(lab: Lab, start: Start) -> Finalist:
    """The student itself, which holds the budget as it is: other seeds of it are the chain's business."""
    seed = lab.recipe.train.seed
    known = Trained(start.student, start.checkpoint, 0.0)
    return Finalist("student", "the student, which holds the budget uncut", start.figures, lambda _: known, only=seed)


def baselines_of(lab: Lab, start: Start, taught: bool, parts: Depth | None) -> tuple[list[Finalist], dict[str, str]]:
    """The baselines of the recipe that fit the budget, and why others are missing, by name.

    Args:
        lab: The search.
        start: What the method started from.
        taught: Whether the thin students are distilled too.
        parts: What the method has taken out; None where nothing had to be cut.
    """
    gone = parts or Depth()
    makers: dict[str, Callable[[], Baseline]] = {
        "random_largest": lambda: random_largest(lab, start, gone),
        "thin_student": lambda: thin_student(lab, start, taught, gone),
        "thin_pretrained": lambda: thin_pretrained(lab, start, taught, gone),
        "coarse_student": lambda: coarse_student(lab, start, taught, gone),
    }
    found, missing = [], {}
    for name, make in makers.items():
        if name not in lab.recipe.fit.baselines:
            missing[name] = "left out by fit.baselines"
            continue
        if parts is None:
            missing[name] = "the student holds the budget uncut, so this would be the student itself"
            continue
        if name == "thin_pretrained" and start.weights is None:
            missing[name] = "student.init is none, so this would be thin_student"
            continue
        try:
            one = make()
        except BudgetError as err:
            missing[name] = f"cannot be made small enough: {err}"
        else:
            found.append(Finalist(one.name, one.note, one.figures, one.train))
    return found, missing


@dataclass(frozen=True)
class Outcome:
    """Who goes on.

    Attributes:
        winner: The method, unless its best baseline beats it.
        rival: The best baseline; None without any.
        difference: `drops.seeds_drop` from the rival to the method, over the seeds that both were trained with.
    """

    winner: Finalist
    rival: Finalist | None
    difference: dict[str, Any] | None


def contest(lab: Lab, method: Finalist, baselines: list[Finalist], missing: dict[str, str]) -> Outcome:
    """One seed for all, the other seeds for the method and the best baseline; see `plan.shown` for who goes on.

    Args:
        lab: The search.
        method: Always in the contest.
        baselines: Those that fit the budget; one whose training fails is taken out.
        missing: Gets the reason of each that is taken out, and of each further seed whose training failed.
    """
    first = lab.recipe.train.seed
    method.run(lab, first)
    for one in list(baselines):
        try:
            one.run(lab, first)
        except TrainingError as err:  # must not cost the user the network that did train
            baselines.remove(one)
            missing[one.name] = f"its training failed: {err}"
    rival = max(baselines, key=lambda one: one.dice, default=None)
    for seed in range(first + 1, first + lab.recipe.fit.final_seeds):
        for one in filter(None, (method, rival)):
            try:
                one.run(lab, seed)
            except TrainingError as err:  # its other seeds are trained and count
                missing[f"{one.name}, seed {seed}"] = f"its training failed: {err}"
    if rival is None:
        return Outcome(method, None, None)
    common = [seed for seed in method.seeds if seed in rival.seeds]
    difference = seeds_drop([(scores_of(lab, rival, seed), scores_of(lab, method, seed)) for seed in common])
    return Outcome(rival if shown_worse(difference) else method, rival, difference)


def accuracy_of(lab: Lab, name: str, model: SegmentationNet) -> dict[str, Any]:
    """Mean Dice on val of the file that would ship, with its bootstrap interval over groups; scored once."""
    path = lab.journal.root / "scores" / f"{name}_images.json"

    def make() -> dict[str, Any]:
        lab.progress("score", 0.5, f"{name} on val")
        scores = lab.score(name, model)
        save_scores(path, scores)
        n_classes = len(scores[0].tp)
        summary = summarize(scores, [str(number) for number in range(n_classes)])
        return {"dice_mean": summary["dice_mean"]} | dice_interval(scores)

    settings = {
        "weights": fingerprint(model),
        "target": lab.probe.identity,
        "data": lab.data_key,
        "ranges": ranges_settings(lab.recipe, lab.calibration_sha256),
        "version": [INT8_VERSION, _SCORED],
    }
    found: dict[str, Any] = lab.journal.find("scores", name, settings, make)
    return found


def scores_of(lab: Lab, finalist: Finalist, seed: int) -> list[ImageScore]:
    """Scores by image, kept by `accuracy_of`."""
    return load_scores(lab.journal.root / "scores" / f"{finalist.name}_{seed}_images.json")


def dice_interval(scores: list[ImageScore]) -> dict[str, float | None]:
    """`lo95 hi95` of the mean Dice itself: its difference from a perfect answer, resampled by group."""
    perfect = [replace(one, tp=one.tp + one.fn, fp=one.fp * 0, fn=one.fn * 0) for one in scores]
    drop = paired_bootstrap(perfect, scores, 0.0)
    low = None if drop.hi95 is None else 1.0 - drop.hi95
    high = None if drop.lo95 is None else 1.0 - drop.lo95
    return {"lo95": low, "hi95": high}
