"""Which samples of a data set are scored, and by which columns: what was asked for, never what was not there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeseg.runtime.data.dataset import SPLITS, DataSet, Sample
from edgeseg.runtime.errors import ConfigError, DataError
from edgeseg.runtime.score.spelling import folded

CHOICES = (*SPLITS, "all")


@dataclass(frozen=True)
class Choice:
    """What is scored.

    Attributes:
        samples: At least one.
        split: `train`, `val`, `test` or `all`.
        reason: Why that one.
    """

    samples: tuple[Sample, ...]
    split: str
    reason: str


def check_split(asked: str | None) -> None:
    """Refuse the name of a split that cannot be; raises ConfigError."""
    if asked not in (*CHOICES, None):
        raise ConfigError(f"--split is {asked!r}; use {', '.join(CHOICES)}")


def choose_samples(data: DataSet, asked: str | None) -> Choice:
    """Choose the samples of a split.

    Args:
        data: The data set.
        asked: `train`, `val`, `test`, `all`, or None: `test` where meta.csv has a split, else `all`.

    Raises:
        ConfigError: There is no such split.
        DataError: The data bring no split, or it is empty.
    """
    check_split(asked)
    if asked == "all":
        return Choice(data.samples, "all", "as asked")
    if not data.split_given:
        none = "the data bring no split (no column split in meta.csv)"
        if asked is None:
            return Choice(data.samples, "all", f"{none}, so all images are scored")
        remedy = "Leave --split out to score all images, or copy the columns of the run's split.csv into meta.csv"
        raise DataError(f"{data.root}: {none}, so which images are {asked} is not known. {remedy}.")
    split = asked or "test"
    samples = tuple(sample for sample in data.samples if sample.split == split)
    if not samples:
        counts = ", ".join(f"{name} {sum(one.split == name for one in data.samples)}" for name in SPLITS)
        raise DataError(f"{data.root}: the split {split} is empty ({counts}). Choose another with --split, or all.")
    return Choice(samples, split, "as asked" if asked else "meta.csv has the column split, and test is its default")


def column_values(data: DataSet, samples: Sequence[Sample], column: str) -> list[str]:
    """The value of a column for each sample; `group` and `split` are columns too.

    Args:
        data: Where the samples are from.
        samples: Some of them.
        column: Name, without regard to case and blanks.

    Raises:
        ConfigError: Meta.csv has no such column, or two that differ in case and blanks alone.
    """
    known = {name: [sample.columns.get(name, "") for sample in samples] for name in _columns(data)}
    known["group"] = [sample.group for sample in samples]
    if data.split_given:
        known["split"] = [sample.split for sample in samples]
    if column in known:
        return known[column]
    near = [name for name in known if folded(name) == folded(column)]
    if len(near) == 1:
        return known[near[0]]
    found = f"is in meta.csv twice: {', '.join(map(repr, near))}" if near else "is not in meta.csv"
    raise ConfigError(f"--by: column {column!r} {found}. Known: {', '.join(sorted(known))}.")


def unused_columns(data: DataSet, by: Sequence[str]) -> list[str]:
    """Columns of meta.csv that play no part in a score by these columns."""
    asked = {folded(name) for name in by}
    return [name for name in _columns(data) if folded(name) not in asked]


def _columns(data: DataSet) -> list[str]:
    """The columns of meta.csv but stem, group and split, in their order."""
    return list(dict.fromkeys(name for sample in data.samples for name in sample.columns))
