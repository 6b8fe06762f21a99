"""One cut: from a trained network to a smaller one whose measurement on the target holds given limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edgeseg.benchmarks.machine.turns import Turns
from edgeseg.compress.fingerprint import fingerprint
from edgeseg.compress.search.budget import Miss, misses
from edgeseg.compress.search.depth import Depth, shallower
from edgeseg.compress.search.groups import Group, channel_groups
from edgeseg.compress.search.importance import Gates
from edgeseg.compress.search.predictor import Figures
from edgeseg.compress.search.prune import prune
from edgeseg.compress.search.search import SearchResult, search
from edgeseg.pipeline.search.lab import BudgetError, Lab, missed_words
from edgeseg.pipeline.search.trainings import gate_settings, gates_of
from edgeseg.train.checkpoint import load_checkpoint, save_checkpoint
from edgeseg.train.models import SegmentationNet

_FULL = 0.9  # of the budget: a cut that uses less is worth another search
_VERSION = 2  # goes up when equal settings come to another cut
_TIGHTER = 0.95  # where a correction has come to the same network again


@dataclass(frozen=True)
class Way:
    """How a cut chooses: a name of `IMPORTANCE`, and whether whole parts may go."""

    importance: str
    depth: bool

    @classmethod
    def named(cls, name: str) -> Way:
        """The way of a name."""
        importance, _, parts = name.rpartition("-")
        return cls(importance, parts == "depth")

    @property
    def name(self) -> str:
        """Short, for files and tables."""
        return f"{self.importance}-{'depth' if self.depth else 'widths'}"


@dataclass(frozen=True)
class Cut:
    """A cut network, not yet trained again.

    Attributes:
        model: In evaluation mode.
        figures: Measured.
        tries: One a search: `moves`, `predicted`, `measured`, `missed`.
    """

    model: SegmentationNet
    figures: Figures
    tries: list[dict[str, Any]]


def cut_to(
    lab: Lab,
    name: str,
    model: SegmentationNet,
    teacher: SegmentationNet | None,
    way: Way,
    limits: Mapping[str, float],
) -> Cut:
    """Search, cut, measure the whole; where it misses, correct the prediction and search again.

    Args:
        lab: The search.
        name: Of the cut.
        model: Trained; not changed.
        teacher: What the gates' loss distils from, or None.
        way: How to choose.
        limits: Largest allowed values by name, aimed at.

    Raises:
        BudgetError: If even the smallest network misses the limits, and where they are the search's aims its budget
            too; carries what it costs.
        MeasureError: If the target disappears.
    """
    settings = {
        "weights": fingerprint(model),
        "way": asdict(way),
        "limits": dict(limits),
        "target": lab.probe.identity,
        "corrections": lab.recipe.fit.corrections,
        "gate_batches": lab.recipe.fit.gate_batches,
        "data": lab.data_key,
        "version": _VERSION,
    }
    if way.importance == "taylor":  # its gates are of the loss, which a teacher has a part in
        settings |= {"teacher": None if teacher is None else fingerprint(teacher), "loss": gate_settings(lab)}
    folder = lab.journal.root / "cuts" / name
    made: list[Cut] = []

    def make() -> dict[str, Any]:
        held, tries = _cut(lab, name, model, teacher, way, limits)
        if held is None:  # kept as well: tried again it might come out otherwise, and change everything behind it
            return {"figures": None, "tries": tries}
        made.append(held)
        save_checkpoint(folder, held.model, {"cut": name})
        return {"figures": held.figures, "tries": tries}

    whole = lambda found: all(lab.was_measured(one["measured"]) for one in found["tries"])  # noqa: E731
    stored = lab.journal.find("cuts", name, settings, make, whole)
    if made:
        return made[0]
    for one in stored["tries"]:
        lab.learn(one["arch"], one["measured"])  # so that what follows is predicted as in an unbroken run
    if stored["figures"] is None:
        last = stored["tries"][-1]
        raise BudgetError(f"{name}: " + "; ".join(last["missed"]), last["measured"])
    return Cut(load_checkpoint(folder)[0], stored["figures"], stored["tries"])


def apply(
    model: SegmentationNet, widths: Mapping[str, int], depth: Depth, importance: str, gates: Gates | None = None
) -> SegmentationNet:
    """Cut the channels, then take the parts out; `taylor` needs the network's gates."""
    trace_px = (2 * int(model.stride), 2 * int(model.stride))
    smaller = prune(model, dict(widths), trace_px, importance, gates)
    return shallower(smaller, depth) if depth else smaller


def _cut(
    lab: Lab,
    name: str,
    model: SegmentationNet,
    teacher: SegmentationNet | None,
    way: Way,
    limits: Mapping[str, float],
) -> tuple[Cut | None, list[dict[str, Any]]]:
    """The cut that fills the limits best, or None if none held them; and every try."""
    gates = gates_of(lab, model, teacher) if way.importance == "taylor" else None
    trace_px = (2 * int(model.stride), 2 * int(model.stride))
    groups = channel_groups(model, way.importance, trace_px, lab.recipe.train.seed, gates)
    aims = dict(limits)
    # Aims lie a margin below the budget; a network between the two holds what the user has asked for.
    allowed = lab.ceilings if limits == lab.aims else limits
    tries: list[dict[str, Any]] = []
    held: Cut | None = None
    spare: Cut | None = None
    for attempt in range(lab.recipe.fit.corrections + 1):
        lab.progress("cut", attempt / (lab.recipe.fit.corrections + 1), f"search, {name}")
        found = _searched(lab, model, groups, aims, way)
        smaller = apply(model, found.widths, found.depth, way.importance, gates)
        figures = lab.measure(smaller)
        lab.learn(smaller.arch, figures)
        missed = misses(limits, figures)
        tries.append(_try(found, smaller, figures, missed))
        if not missed and (held is None or fill(limits, figures) > fill(limits, held.figures)):
            held = Cut(smaller, figures, tries)
        if not misses(allowed, figures) and (spare is None or fill(limits, figures) < fill(limits, spare.figures)):
            spare = Cut(smaller, figures, tries)
        # A prediction that was too high has cut too deep: what it has learnt now may leave more of the network.
        again = _seen(tries)
        if (not missed and (again or fill(limits, figures) >= _FULL)) or (missed and not found.reached):
            break
        tighter = {name: _TIGHTER * aim for name, aim in aims.items()}
        aims = tighter if again else _corrected(lab, smaller, limits, figures)
    return held or spare, tries


def _searched(
    lab: Lab, model: SegmentationNet, groups: tuple[Group, ...], aims: Mapping[str, float], way: Way
) -> SearchResult:
    """Search on predictions alone, making way for those who measure as a training does."""
    with Turns().training() as turns:

        def predict(arch: dict[str, Any]) -> dict[str, float]:
            turns.next_batch()
            return lab.predictor.predict(arch)

        return search(model.arch, groups, predict, aims, depth=way.depth)


def fill(limits: Mapping[str, float], figures: Figures) -> float:
    """How much of the budget a network uses: the largest ratio of a figure to its limit; infinite if unmeasured."""
    ratios = [math.inf if (value := figures.get(name)) is None else value / limit for name, limit in limits.items()]
    return max(ratios)


def _try(found: SearchResult, model: SegmentationNet, figures: Figures, missed: list[Miss]) -> dict[str, Any]:
    return {
        "arch": model.arch,
        "moves": [asdict(move) for move in found.moves],
        "predicted": found.predicted,
        "measured": figures,
        "missed": missed_words(missed, figures),
    }


def _seen(tries: list[dict[str, Any]]) -> bool:
    """Whether the last search came to a network that was tried before."""
    return any(one["arch"] == tries[-1]["arch"] for one in tries[:-1])


def _corrected(lab: Lab, model: SegmentationNet, limits: Mapping[str, float], figures: Figures) -> dict[str, float]:
    """Limits for the next search, tighter by as much as the corrected prediction still falls short of the measured."""
    predicted = lab.predictor.predict(model.arch)
    return {
        name: limit / max(1.0, (figures.get(name) or predicted[name]) / predicted[name])
        for name, limit in limits.items()
    }
