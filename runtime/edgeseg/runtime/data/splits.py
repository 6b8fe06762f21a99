"""Dividing samples into train, val and test so that no group is in two of them."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

from edgeseg.runtime.errors import DataError
from edgeseg.runtime.files.atomic import write_bytes
from edgeseg.runtime.text.names import name_bytes

SPLITS = ("train", "val", "test")
_SHARES = {"train": 0.70, "val": 0.15, "test": 0.15}


def make_split(groups: Mapping[str, str], seed: int = 0) -> dict[str, str]:
    """Assigns every stem to a split, whole groups at a time, close to 70 / 15 / 15 in samples.

    Groups are taken from large to small (equal ones in an order drawn by `seed`), each into the split that lacks
    most samples. The order comes from SHA-256, so it is the same on every machine and library version.

    Args:
        groups: Stem to group.
        seed: Draws the order of groups of equal size.

    Returns:
        Stem to `train`, `val` or `test`. With three groups or more, no split is empty.
    """
    members: dict[str, list[str]] = {}
    for stem in sorted(groups):
        members.setdefault(groups[stem], []).append(stem)
    order = sorted(members, key=lambda group: (-len(members[group]), draw_key(group, seed)))
    lacking = {name: share * len(groups) for name, share in _SHARES.items()}
    empty = set(SPLITS)
    chosen: dict[str, str] = {}
    for position, group in enumerate(order):
        # The last groups go to splits that would stay empty otherwise.
        candidates = [s for s in SPLITS if s in empty] if len(order) - position <= len(empty) else list(SPLITS)
        name = max(candidates, key=lacking.__getitem__)
        empty.discard(name)
        lacking[name] -= len(members[group])
        chosen.update(dict.fromkeys(members[group], name))
    return chosen


def write_split(path: Path, splits: Mapping[str, str], groups: Mapping[str, str]) -> None:
    """Write a split as CSV (`stem,split,group`), sorted by stem; these columns can be copied into meta.csv.

    A stem that is no UTF-8 is written with the bytes of its file's name.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("stem", "split", "group"))
    writer.writerows((stem, splits[stem], groups[stem]) for stem in sorted(splits))
    write_bytes(path, name_bytes(text.getvalue()))


def read_split(path: Path, groups: Mapping[str, str]) -> dict[str, str]:
    """Read a split written by `write_split` and check that it still fits the data set.

    Args:
        path: The CSV file.
        groups: Stem to group, of the data set as it is now.

    Raises:
        DataError: The file is damaged, or stems or groups have changed since it was written.
    """
    remedy = f"delete {path} to draw a new split (old scores then no longer compare), or restore the data set"
    try:
        text = path.read_bytes().decode("utf-8-sig", "surrogateescape")  # a spreadsheet adds a byte-order mark
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); {remedy}") from error
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    splits = {row.get("stem") or "": row.get("split") or "" for row in rows}
    if not rows or any(value not in SPLITS for value in splits.values()):
        raise DataError(f"{path}: not a split file (stem, split, group; split one of {', '.join(SPLITS)}); {remedy}")
    changed = sorted(set(splits) ^ set(groups))
    if changed:
        raise DataError(f"{path}: made for other images ({len(changed)} differ, first {changed[0]!r}); {remedy}")
    if any(groups[row["stem"]] != row.get("group") for row in rows):
        raise DataError(f"{path}: the groups in meta.csv have changed since this split was made; {remedy}")
    return splits


def draw_key(group: str, seed: int) -> str:
    """Where a group comes in the drawn order; the same on every machine and library version."""
    return hashlib.sha256(name_bytes(f"{seed}/{group}")).hexdigest()
