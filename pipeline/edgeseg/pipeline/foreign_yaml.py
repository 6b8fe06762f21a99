"""Whose YAML or JSON it is that was handed in as a recipe; data sets of other tools are told by `data.foreign`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Keys that a file of another kind has together; no recipe has.
_OTHERS: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"schema_version", "kind"}), "a result of `bench run`"),
    (frozenset({"schema_version", "variants"}), "the manifest of a bundle"),
    (frozenset({"backend", "precision", "input"}), "the spec.json of a model file"),
    (frozenset({"services"}), "a compose file of containers"),
)


def whose(values: Mapping[Any, Any]) -> str | None:
    """What the file is instead of a recipe, or None where that is not known."""
    keys = {str(key) for key in values}
    if keys & {"geometry", "teacher", "student"}:
        return None
    return next((words for known, words in _OTHERS if known <= keys), None)
