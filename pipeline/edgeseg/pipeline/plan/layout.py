"""The rows of a report and the steps behind each: which parent, which exported file, which engine."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from edgeseg.pipeline.plan.variants import (
    CHOICES,
    CHOOSE_FINAL,
    CHOOSE_STUDENT,
    REFERENCE,
    REFERENCE_FILES,
    VARIANTS,
)

__all__ = [
    "CHOICES",
    "CHOOSE_FINAL",
    "CHOOSE_STUDENT",
    "CUT",
    "MODEL_ROWS",
    "QAT",
    "RANGES",
    "REFERENCE",
    "REFERENCE_FILES",
    "REFERENCE_ROWS",
    "ROWS",
    "SEARCH_FILE",
    "VARIANT_ROWS",
    "RowLayout",
    "asked_rows",
    "score_step",
]


@dataclass(frozen=True)
class RowLayout:
    """One row of the report.

    Attributes:
        name: Of the row.
        parent: Row it is made of and compared with; None for teacher and reference; one of `CHOICES` where that step
            names it.
        file: Step that holds its model file.
        target: Where its latency is measured and gated.
        variant: Name in the bundle, or None for a row that is never packed.
        feeds: Whether later rows may build on it; a baseline does not.
        needs: What the processor must have; see `Variant`.
        not_timed: Why its latency is not measured on the machine that runs the chain.
        optional: Whether a recipe has to ask for it in `export.also`.
        baseline: The same network without the method; where it is shown to be better on val, the method is not used.
    """

    name: str
    parent: str | None
    file: str
    target: str
    variant: str | None = None
    feeds: bool = True
    baseline: str | None = None
    needs: tuple[str, ...] = ()
    not_timed: str | None = None
    optional: bool = False


# The network that the search cuts to the budget, and what the search has found, among the step's files.
CUT, SEARCH_FILE = "student_pruned", "search.json"

# Of the steps that train: goes up when equal settings leave another network.
TRAINING_VERSION = 2

# How INT8 is made: ranges, and the network that is quantised; the second, where it is trained for that, in its place.
RANGES, QAT = "ranges", "student_qat"

# What costs are compared with, a row an engine; they have no accuracy, and no step scores them.
REFERENCE_ROWS = tuple(
    RowLayout(REFERENCE, None, file, target) if target == "x86-ort" else RowLayout(file, REFERENCE, file, target)
    for target, file in REFERENCE_FILES.items()
)
MODEL_ROWS = (
    RowLayout("teacher", None, "teacher_onnx", "x86-ort"),
    RowLayout("student_alone", "teacher", "student_alone_onnx", "x86-ort", feeds=False),
    RowLayout("student_distilled", "teacher", "student_distilled_onnx", "x86-ort", baseline="student_alone"),
    RowLayout(CUT, CHOOSE_STUDENT, "student_pruned_onnx", "x86-ort"),
)
VARIANT_ROWS = tuple(
    RowLayout(
        name=one.step,
        parent=one.parent,
        file=one.step,
        target=one.target,
        variant=one.name,
        needs=one.needs,
        not_timed=one.not_timed,
        optional=one.optional,
    )
    for one in VARIANTS
)
ROWS = (*MODEL_ROWS, *VARIANT_ROWS)


def asked_rows(files: Collection[str]) -> tuple[RowLayout, ...]:
    """Rows of a run: all but the optional variants whose files it does not make.

    Args:
        files: Names of its steps, or of its optional variants.
    """
    return tuple(row for row in ROWS if not row.optional or row.file in files or row.variant in files)


def score_step(row: RowLayout, split: str) -> str:
    """Name of the step that scores a row's file on a split."""
    return f"{split}_{row.name}"


def trainings() -> tuple[str, ...]:
    """The steps that train a network."""
    return tuple(row.name for row in MODEL_ROWS)
