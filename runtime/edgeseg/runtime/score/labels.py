"""The classes of a data set held against those of a bundle: by name, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from edgeseg.runtime.errors import DataError
from edgeseg.runtime.score.spelling import folded, positions


@dataclass(frozen=True)
class Labels:
    """How class ids of a data set become those of a bundle.

    Attributes:
        ids: The bundle's id of each id of the data; None where they are the same.
        note: What a reader should know about it, or None.
    """

    ids: tuple[int, ...] | None = None
    note: str | None = None


def match_labels(data: Sequence[str], bundle: Sequence[str], where: object, *, by_id: bool = False) -> Labels:
    """Find the bundle's class for each class of the data.

    Args:
        data: Names by class id, as the data set has them; background first.
        bundle: Names by class id, as the bundle has them.
        where: The file with the data's names, for messages.
        by_id: Take ids as they are, whatever the names.

    Raises:
        DataError: The numbers differ, or a name has no counterpart and `by_id` was not asked for.
    """
    both = f"{where} has the classes {list(data)}, the bundle {list(bundle)}"
    if len(data) != len(bundle):
        remedy = "Correct dataset.yaml, or use a bundle trained on these classes"
        raise DataError(f"{both}: {len(data)} and {len(bundle)}. {remedy}.")
    if tuple(data) == tuple(bundle):
        return Labels()
    if by_id:
        return Labels(note=f"{both}; ids were taken as they are, as asked")
    ids = positions(data, bundle)
    if ids is None:
        raise DataError(f"{both}. {_differences(data, bundle)}")
    if ids == tuple(range(len(ids))):
        return Labels(note=f"{both}: taken as the same, for they differ in case and blanks alone")
    return Labels(ids, f"{both}: the masks' ids were mapped by name ({_arrows(data, ids)})")


def _differences(data: Sequence[str], bundle: Sequence[str]) -> str:
    """What is on one side only, what may be meant, and what to do."""
    known = {folded(name) for name in data} & {folded(name) for name in bundle}
    added = [name for name in data if folded(name) not in known]
    lacking = [name for name in bundle if folded(name) not in known]
    near = {name: get_close_matches(name, lacking, n=1) for name in added}
    guesses = ", ".join(f"{name!r} may be {found[0]!r}" for name, found in near.items() if found)
    sides = f"Only the data have {added}, only the bundle has {lacking}." if added else "Two names differ only in case."
    remedy = "Write the bundle's names into dataset.yaml, or give --classes-by-id if equal ids mean the same"
    return f"{sides} {guesses}. {remedy}." if guesses else f"{sides} {remedy}."


def _arrows(data: Sequence[str], ids: Sequence[int]) -> str:
    moved = [f"{name} {old} -> {new}" for old, (name, new) in enumerate(zip(data, ids, strict=True)) if old != new]
    return ", ".join(moved[:6]) + (f" and {len(moved) - 6} more" if len(moved) > 6 else "")
