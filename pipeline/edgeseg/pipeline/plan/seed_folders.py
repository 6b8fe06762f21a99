"""Where a step keeps what belongs to one of several trainings of its network."""

from __future__ import annotations

from pathlib import Path

_PREFIX = "seed_"


def seed_folder(files: Path, seed: int) -> Path:
    """Of one training, in a folder of a step."""
    return files / f"{_PREFIX}{seed}"


def seed_folders(files: Path) -> dict[int, Path]:
    """Of all trainings, by seed; empty where there is only one."""
    found = {int(path.name.removeprefix(_PREFIX)): path for path in files.glob(f"{_PREFIX}*")}
    return dict(sorted(found.items()))
