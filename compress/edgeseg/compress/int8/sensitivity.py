"""Which layers lose Dice in INT8, and the fewest that must stay in float for a budget to hold.

A layer's loss is measured with it alone in INT8 and all others in float, on val, by Dice: the error of a tensor says
little about masks. The search then starts from everything in INT8.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from edgeseg.runtime.score.image_score import ImageScore
from edgeseg.runtime.score.intervals import Drop, paired_bootstrap

# Up to here layers are added one at a time; a longer list grows by a quarter, and the backward pass makes up for it.
_SINGLY = 8

FloatLayers = frozenset[str]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Score:
    """One candidate on val.

    Attributes:
        images: Counts per image.
        differs: Share of pixels in [0, 1] whose class is not the float network's.
    """

    images: tuple[ImageScore, ...]
    differs: float


class Int8Subject(Protocol):
    """A network of which any layers can be kept in float."""

    def layers(self) -> Sequence[str]:
        """Names of the layers that can be quantised, in the order of execution."""

    def score(self, float_layers: FloatLayers | None, *, whole: bool) -> Score:
        """Score the network with these layers in float and all others in INT8; None is the float file itself.

        Args:
            float_layers: Names from `layers`.
            whole: On all of val; else on the part that is used to compare layers.
        """


@dataclass(frozen=True)
class LayerLoss:
    """What a layer costs when it alone is in INT8; `drop` is in Dice, `differs` a share of pixels."""

    layer: str
    drop: Drop
    differs: float


@dataclass(frozen=True)
class Trial:
    """One candidate of the search: the layers kept in float, and what it loses on all of val."""

    float_layers: tuple[str, ...]
    drop: Drop
    differs: float
    holds: bool


@dataclass(frozen=True)
class Sensitivity:
    """The outcome.

    Attributes:
        losses: One per layer, the worst first.
        trials: Every candidate of the search in order; the first has everything in INT8.
        found: The smallest set of float layers that holds the budget.
    """

    losses: tuple[LayerLoss, ...]
    trials: tuple[Trial, ...]
    found: Trial


def trial_json(trial: Trial) -> dict[str, Any]:
    """A trial as JSON."""
    return {
        "float_layers": list(trial.float_layers),
        "drop": trial.drop.to_json(),
        "differs": trial.differs,
        "holds": trial.holds,
    }


def examine(subject: Int8Subject, max_drop: float, progress: Progress = lambda _done, _total: None) -> Sensitivity:
    """Measure every layer's loss, then search for the fewest layers to keep in float.

    Args:
        subject: The network.
        max_drop: Largest mean Dice that INT8 may lose against float on val, 0.003 for 0.3 points.
        progress: Called with (done, total) candidates; the total grows if the search needs more.

    Raises:
        MeasureError: If val has no foreground, so that there is no Dice.
    """
    losses = layer_losses(subject, max_drop, progress)
    search = _Search(subject, max_drop, len(losses), progress)
    return Sensitivity(losses, *search.run([loss.layer for loss in losses]))


def layer_losses(subject: Int8Subject, max_drop: float, progress: Progress) -> tuple[LayerLoss, ...]:
    """Loss of every layer alone in INT8, the worst first; equal losses are ordered by the pixels that changed."""
    layers = subject.layers()
    reference = subject.score(None, whole=False)
    losses = []
    for done, layer in enumerate(layers, start=1):
        score = subject.score(frozenset(layers) - {layer}, whole=False)
        drop = paired_bootstrap(reference.images, score.images, max_drop)
        losses.append(LayerLoss(layer, drop, score.differs))
        progress(done, len(layers) + 1)
    return tuple(sorted(losses, key=lambda loss: (-loss.drop.mean, -loss.differs)))


class _Search:
    """Greedy from the worst layer, then backwards through what may have become unnecessary."""

    def __init__(self, subject: Int8Subject, max_drop: float, done: int, progress: Progress) -> None:
        self._subject, self._max_drop = subject, max_drop
        self._done, self._progress = done, progress
        self._reference = subject.score(None, whole=True)
        self._tried: dict[FloatLayers, Trial] = {}

    def run(self, ranked: Sequence[str]) -> tuple[tuple[Trial, ...], Trial]:
        """All trials, and the one that was found."""
        kept: list[str] = []
        found = self._try(kept)
        while not found.holds and len(kept) < len(ranked):
            more = 1 if len(kept) < _SINGLY else len(kept) // 4
            kept += ranked[len(kept) : len(kept) + more]
            found = self._try(kept)
        for layer in reversed(list(kept)):
            fewer = [one for one in kept if one != layer]
            trial = self._try(fewer)
            if trial.holds:
                kept, found = fewer, trial
        return tuple(self._tried.values()), found

    def _try(self, kept: Sequence[str]) -> Trial:
        key = frozenset(kept)
        if key not in self._tried:
            score = self._subject.score(key, whole=True)
            drop = paired_bootstrap(self._reference.images, score.images, self._max_drop)
            self._tried[key] = Trial(tuple(kept), drop, score.differs, drop.mean <= self._max_drop)
            self._done += 1
            self._progress(self._done, self._done + (not self._tried[key].holds))
        return self._tried[key]
