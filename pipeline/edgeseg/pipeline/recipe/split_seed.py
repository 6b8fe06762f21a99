"""Which seed the split of a run was drawn with, kept beside it: a split that is there is not drawn again."""

from __future__ import annotations

import json
from pathlib import Path

from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.files.atomic import write_json

FILE = "split_seed.json"


def check_seed(split_file: Path, seed: int) -> None:
    """Refuse a seed that a split which is there was not drawn with, for nothing would come of it.

    A split of an earlier version, whose seed nobody has written down, is taken as it is.

    Args:
        split_file: Of the run.
        seed: That the recipe asks for.

    Raises:
        ConfigError: If it was drawn with another seed, or what was written down is damaged.
    """
    path = split_file.with_name(FILE)
    if not (split_file.is_file() and path.is_file()):
        return
    try:
        kept = int(json.loads(path.read_text(encoding="utf-8"))["seed"])
    except (ValueError, KeyError, TypeError) as err:
        raise ConfigError(
            f"{path}: not readable ({err!r}); remove it, and {split_file.name} is taken as it is"
        ) from err
    if kept != seed:
        raise ConfigError(
            f"data.seed is {seed}, but {split_file} was drawn with {kept}, and networks were trained on it; give "
            f"another folder with --out, or delete {split_file} to draw the split anew and train again, or set "
            f"data.seed to {kept}"
        )


def keep_seed(split_file: Path, seed: int) -> None:
    """Write down what a split was drawn with."""
    write_json(split_file.with_name(FILE), {"seed": seed})
