"""Names that people write twice, of classes and of columns: equal but for case and blanks is the same name."""

from __future__ import annotations

from collections.abc import Sequence

from edgeseg.runtime.text import names


def folded(name: str) -> str:
    """A name without regard to case, Unicode form, surrounding blanks, and runs of blanks or underscores."""
    return " ".join(names.folded(name).replace("_", " ").split())


def positions(wanted: Sequence[str], among: Sequence[str]) -> tuple[int, ...] | None:
    """Where each wanted name stands among others of the same number, as written or folded.

    Args:
        wanted: Names, all different.
        among: As many names, all different.

    Returns:
        The index in `among` of every wanted name, or None where a name has no counterpart or, folded, two.
    """
    for spelled in (str, folded):
        places = {spelled(name): index for index, name in enumerate(among)}
        found = tuple(places.get(spelled(name), -1) for name in wanted)
        if len(places) == len(among) and sorted(found) == list(range(len(among))):
            return found
    return None
