"""Where a result comes from: data, code, machine."""

from __future__ import annotations

import datetime
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.runtime.data.dataset import DataSet, content_hash, split_hash
from edgeseg.runtime.data.ignored import IGNORED


def data_summary(data: DataSet) -> dict[str, Any]:
    """Name, hashes and counts of a data set, as in a manifest's `data[]` and a report's `data`.

    Where it has a value of ignored pixels, also that (`ignore`) and their share of all (`ignored_share`).

    Raises:
        DataError: If a file cannot be read.
    """
    splits: dict[str, list[Any]] = {"train": [], "val": [], "test": []}
    for sample in data.samples:
        splits.setdefault(sample.split, []).append(sample)
    counts = {
        name: {"images": len(members), "groups": len({sample.group for sample in members})}
        for name, members in splits.items()
    }
    return {
        "name": data.name,
        "content_sha256": content_hash(data),
        "split_sha256": split_hash(data),
        "n_images": len(data.samples),
        "n_groups": len({sample.group for sample in data.samples}),
        "licence": data.licence,
        "classes": list(data.classes),
        "color": data.color,
        "pixel_mm": data.pixel_mm,
        **({"window": list(data.window)} if data.window else {}),
        "may_redistribute": data.may_redistribute,
        "counts": counts,
        **({} if data.ignore is None else {"ignore": data.ignore, "ignored_share": _ignored_share(data)}),
    }


def _ignored_share(data: DataSet) -> float:
    """Share of the pixels of all masks that do not count, in [0, 1]."""
    ignored = total = 0
    for sample in data.samples:
        mask = sample.read_truth(len(data.classes))
        ignored += int(np.count_nonzero(mask == IGNORED))
        total += mask.size
    return ignored / total


def git_commit() -> str | None:
    """Commit of the checkout this code runs from, with `+dirty` for local changes; None for an installed copy."""
    git = shutil.which("git")
    here = Path(__file__).resolve().parent
    if git is None:
        return None
    commit = _git(git, here, "rev-parse", "HEAD")
    if commit is None:
        return None
    changes = _git(git, here, "status", "--porcelain", "--untracked-files=no")
    return commit + ("+dirty" if changes else "")


def code_and_time() -> dict[str, Any]:
    """`created edgeseg_version git_commit`, as at the head of every recorded result."""
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    return {"created": now, "edgeseg_version": metadata.version("edgeseg"), "git_commit": git_commit()}


def _git(git: str, folder: Path, *arguments: str) -> str | None:
    done = subprocess.run([git, "-C", str(folder), *arguments], capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip() if done.returncode == 0 else None
