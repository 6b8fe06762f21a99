"""Which of edgeseg's own JSON documents a file is, by its keys: where one was handed in in another's place."""

from __future__ import annotations

from collections.abc import Collection

# Keys that a document has together, and no other.
_DOCUMENTS: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"schema_version", "kind"}), "a result of `bench run`"),
    (frozenset({"steps", "shipped", "recipe"}), "the report of a run (report.json)"),
    (frozenset({"contest", "finalists"}), "what a search has found (search.json)"),
    (frozenset({"folds", "pooled"}), "the report of a cross-validation"),
    (frozenset({"settings_to_use", "verdict"}), "a report of `doctor int8`"),
    (frozenset({"schema_version", "variants"}), "the manifest of a bundle"),
    (frozenset({"backend", "precision", "input"}), "the spec.json of a model file"),
)


def own_document(keys: Collection[object]) -> str | None:
    """What a document with these top-level keys is, with its article; None where it is none of ours."""
    present = frozenset(str(key) for key in keys)
    return next((words for known, words in _DOCUMENTS if known <= present), None)
