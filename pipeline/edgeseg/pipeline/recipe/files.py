"""Where recipe files are: a path, or the name of one that comes with edgeseg."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.text.shell import command

_HERE = Path(__file__).resolve()
# In a checkout the recipes lie at its root; a wheel has them beside this room.
_FOLDERS = (_HERE.parents[4] / "recipes", _HERE.parents[1] / "recipes")


def shipped_recipes() -> dict[str, Path]:
    """Recipes that come with edgeseg, by name."""
    folder = next((folder for folder in _FOLDERS if (folder / "demo.yaml").is_file()), _FOLDERS[-1])
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def _is(kind: Callable[[], bool]) -> bool:
    """Whether a path is of a kind; a name that is too long for the file system is of none."""
    try:
        return kind()
    except OSError:
        return False


def find_recipe(recipe: str) -> Path:
    """The file of a recipe given as a path, or by the name of one that comes with edgeseg.

    Raises:
        ConfigError: If it is neither.
    """
    path, shipped = Path(recipe), shipped_recipes()
    if _is(path.is_file):
        return path
    if recipe in shipped:
        return shipped[recipe]
    if _is(path.is_dir):
        inside = path / "recipe.yaml"
        has = f"give {inside}" if inside.is_file() else f"`{command('edgeseg', 'init', path)}` writes a recipe into it"
        raise ConfigError(f"recipe {recipe!r} is a folder; {has}")
    near = difflib.get_close_matches(path.stem, shipped, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "`edgeseg init DIR` writes one for your own data."
    raise ConfigError(
        f"recipe {recipe!r} is no file, and no recipe that comes with edgeseg ({', '.join(shipped)}); {hint}"
    )
