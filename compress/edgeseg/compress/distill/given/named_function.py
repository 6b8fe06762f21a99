"""Which Python function teaches, where a recipe names one as `module:function`, and in which file it is.

The file is found as Python finds modules, from the current folder and PYTHONPATH on. Finding runs nothing of it.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from edgeseg.runtime.errors import ConfigError

_NAMED = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*):([^\W\d]\w*)")


@dataclass(frozen=True)
class TeacherFunction:
    """A function of the user's own: `module` as in an import statement, and the function's name in it."""

    module: str
    name: str

    @classmethod
    def named(cls, given: str | None) -> TeacherFunction | None:
        """What `distill.teacher` says, if it names a function."""
        found = _NAMED.fullmatch(given or "")
        return None if found is None else cls(found[1], found[2])

    def __str__(self) -> str:
        return f"{self.module}:{self.name}"

    def file(self) -> Path:
        """Where the module is.

        Raises:
            ConfigError: If there is none, or it is not written in Python.
        """
        with importable_here():
            spec = _spec(self.module)
        if spec is None:
            raise ConfigError(
                f"distill.teacher is {self}, but there is no module {self.module} in {Path.cwd()} or PYTHONPATH; name "
                "it as an import statement does, without .py"
            )
        if not spec.has_location or not str(spec.origin).endswith(".py"):
            raise ConfigError(f"distill.teacher is {self}, but {self.module} is no Python file; name one that is")
        return Path(str(spec.origin))


@contextmanager
def importable_here() -> Iterator[None]:
    """Look for modules in the current folder first, as `python -m` does and an installed command does not."""
    here = str(Path.cwd())
    importlib.invalidate_caches()  # or a file that has just been written would not be seen
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def _spec(module: str) -> ModuleSpec | None:
    """Where a module is, without importing the packages around it."""
    first, *further = module.split(".")
    try:
        spec = importlib.util.find_spec(first)
    except ValueError:  # a module of this process without a spec, such as __main__
        return None
    for name in further:
        inside = None if spec is None else spec.submodule_search_locations
        spec = None if spec is None or inside is None else PathFinder.find_spec(f"{spec.name}.{name}", inside)
    return spec
