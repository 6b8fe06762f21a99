"""The cheap baselines that always run beside the method, at equal measured cost. Who wins on val ships.

- random_largest: random channels of the largest layers go (arXiv:2512.03834), then the same fine-tuning.
- thin_student: the student's architecture with a smaller width, trained from scratch.
- thin_pretrained: the same, started from what the student started from: its encoder is cut to that width before all
  training (compress/search/narrow.py), as the published networks of a smaller family are.
- coarse_student: thin_student with one decoder level less, so that what a finer answer costs goes into width.

Where the method has taken whole parts out, all are without them too: with channels alone they may not fit at all.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from edgeseg.compress.as_trained import as_trained
from edgeseg.compress.search.arch_widths import with_widths
from edgeseg.compress.search.budget import misses
from edgeseg.compress.search.depth import Depth, levels_left, output_stride, shallower, shallower_arch
from edgeseg.compress.search.groups import channel_groups
from edgeseg.compress.search.narrow import started_arch, started_network
from edgeseg.compress.search.predictor import Figures
from edgeseg.pipeline.recipe.sections.student import OUTPUT_STRIDES, StudentSection
from edgeseg.pipeline.search.cut import apply
from edgeseg.pipeline.search.lab import BudgetError, Lab, missed_words
from edgeseg.pipeline.search.rounds import Start, fine_tune
from edgeseg.pipeline.search.trainings import Effort, Trained, train
from edgeseg.pipeline.steps.architecture import student_arch
from edgeseg.train.models import SegmentationNet, build_model
from edgeseg.train.pretrained.weights import Weights

Arch = dict[str, Any]

_WIDTH_STEPS = 20


@dataclass(frozen=True)
class Baseline:
    """A baseline of the right size: what it costs, and how to train it with a seed.

    Attributes:
        name: Of the row.
        note: What it is, with its numbers.
        figures: Measured.
        train: From a seed to the trained network.
    """

    name: str
    note: str
    figures: Figures
    train: Callable[[int], Trained]


def random_largest(lab: Lab, start: Start, parts: Depth) -> Baseline:
    """Take `parts` out, then cap every layer's width, so that the largest lose channels first; which ones is drawn.

    Raises:
        BudgetError: If even the narrowest misses the budget.
    """
    student, seed = start.student, lab.recipe.train.seed
    trace_px = (2 * int(student.stride), 2 * int(student.stride))
    groups = channel_groups(student, "random", trace_px, seed)
    caps = sorted({width for group in groups for width in range(8, group.width + 1, 8)}, reverse=True)
    # Sets of widths by cap; layers inside an inverted residual keep their multiple of 16.
    widths = [
        {
            path: min(group.width, max(cap // group.step * group.step, group.step))
            for group in groups
            for path in group.members
        }
        for cap in caps
    ]
    archs = [shallower_arch(with_widths(student.arch, one), parts) for one in widths]
    at, figures = largest_fitting(lab, "random_largest", archs)

    def run(seed: int) -> Trained:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = apply(student, widths[at], parts, "random")
        section = lab.recipe.fit
        epochs = (section.rounds - 1) * section.round_epochs + section.final_epochs
        return fine_tune(lab, f"random_largest_{seed}", model, start.teacher, epochs, seed=seed)

    removed = f"random channels of every layer wider than {caps[at]} removed"
    note = f"the student{_without(parts)}, {removed}, then the method's epochs of fine-tuning"
    return Baseline("random_largest", note, figures, run)


def thin_student(lab: Lab, start: Start, taught: bool, parts: Depth) -> Baseline:
    """The recipe's student without `parts`, at the largest width that fits, from scratch.

    Raises:
        BudgetError: If even the narrowest misses the budget.
    """
    return _thin("thin_student", lab, start, taught, parts)


def thin_pretrained(lab: Lab, start: Start, taught: bool, parts: Depth) -> Baseline:
    """The same from `start.weights`.

    Raises:
        BudgetError: If even the narrowest misses the budget.
    """
    return _thin("thin_pretrained", lab, start, taught, parts, start.weights)


def coarse_student(lab: Lab, start: Start, taught: bool, parts: Depth) -> Baseline:
    """A thin student that answers half as finely as the method's network does.

    Raises:
        BudgetError: If even the narrowest misses the budget, or the decoder has no level to spare.
    """
    coarser = replace(parts, levels=parts.levels + 1)
    if levels_left(start.student.arch, coarser) < 1 or output_stride(start.student.arch, coarser) > OUTPUT_STRIDES[-1]:
        raise BudgetError(f"coarse_student: one level less would answer coarser than 1/{OUTPUT_STRIDES[-1]}", {})
    return _thin("coarse_student", lab, start, taught, coarser)


def _thin(name: str, lab: Lab, start: Start, taught: bool, parts: Depth, weights: Weights | None = None) -> Baseline:
    section = lab.recipe.student
    ends = (int(start.student.arch["in_channels"]), start.student.n_outputs)
    shares = [step / _WIDTH_STEPS for step in range(_WIDTH_STEPS, 0, -1)]
    whole = [student_arch(_thinner(section, share), *ends) for share in shares]
    if weights is not None:
        whole = [started_arch(arch, weights) for arch in whole]
    archs = [shallower_arch(arch, parts) for arch in whole]
    at, figures = largest_fitting(lab, name, archs)

    def run(seed: int) -> Trained:
        # At least as long as what it is held against: one that was stopped earlier would prove little.
        epochs = max(section.epochs, lab.recipe.fit.final_epochs)
        effort = Effort(epochs, section.learning_rate, seed=seed)
        if weights is None:
            model = fresh(archs[at], seed)
        else:  # stages are counted through in the weights, so that all are filled before any goes
            model = shallower(_seeded(seed, lambda: started_network(whole[at], weights)), parts, seed)
        return train(lab, f"{name}_{seed}", model, start.teacher if taught else None, effort)

    coarse = f", answering at 1/{fresh(archs[at], 0).output_stride}" if name == "coarse_student" else ""
    begun = "from scratch" if weights is None else "its encoder cut from what the student started from"
    note = f"the student at width {section.width * shares[at]:.2f}{_without(parts)}{coarse}, {begun}"
    return Baseline(name, note, figures, run)


def _thinner(section: StudentSection, share: float) -> StudentSection:
    decoder_width = None if section.decoder_width is None else section.decoder_width * share
    return replace(section, width=section.width * share, decoder_width=decoder_width)


def _without(parts: Depth) -> str:
    return " without the method's dropped parts" if parts else ""


def fresh(arch: Arch, seed: int) -> SegmentationNet:
    """A network with initial weights from a seed."""
    return _seeded(seed, lambda: build_model(arch)).eval()


def _seeded(seed: int, build: Callable[[], SegmentationNet]) -> SegmentationNet:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build()


def largest_fitting(lab: Lab, name: str, archs: Sequence[Arch]) -> tuple[int, Figures]:
    """The first of ever smaller architectures whose measurement holds the budget.

    The prediction says where to look, every measurement corrects it.

    Args:
        lab: The search.
        name: For messages.
        archs: Largest first.

    Raises:
        BudgetError: If the last one misses the budget; carries what it costs.
    """
    settings = {"archs": list(archs), "ceilings": lab.ceilings, "target": lab.probe.identity, "data": lab.data_key}
    settings |= {"geometry": lab.recipe.to_json()["geometry"]}
    whole = lambda found: all(lab.was_measured(figures) for _, figures in found["tries"])  # noqa: E731
    found = lab.journal.find("baselines", name, settings, lambda: _bisect(lab, name, archs), whole)
    tries = {int(index): figures for index, figures in found["tries"]}
    for index, figures in tries.items():
        lab.learn(archs[index], figures)  # so that what follows is predicted as in an unbroken run
    at = found["at"]
    if at is None:
        smallest = tries[len(archs) - 1]
        raise BudgetError(f"{name}: " + "; ".join(missed_words(misses(lab.ceilings, smallest), smallest)), smallest)
    return at, tries[at]


def _bisect(lab: Lab, name: str, archs: Sequence[Arch]) -> dict[str, Any]:
    """`at`, the first that holds the budget or None, and `tries`: (index, figures) in the order measured."""
    lab.progress(name, 0.0, "choose its width")
    lab.predictor.prepare(archs[0], depth=False, progress=lambda share, words: lab.progress(name, share, words))
    measured: dict[int, Figures] = {}
    low, high = 0, len(archs) - 1
    while True:
        at = low + bisect_left(range(low, high), True, key=lambda index: _fits(lab, archs[index]))
        if at in measured:
            return {"at": at, "tries": list(measured.items())}
        model = fresh(archs[at], 0)
        as_trained(model)
        measured[at] = lab.measure(model)
        lab.learn(archs[at], measured[at])
        missed = misses(lab.ceilings, measured[at])
        if missed and at == len(archs) - 1:
            return {"at": None, "tries": list(measured.items())}
        low, high = (at + 1, high) if missed else (low, at)


def _fits(lab: Lab, arch: Arch) -> bool:
    return not misses(lab.ceilings, lab.predictor.predict(arch))
