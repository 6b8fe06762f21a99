"""What two manifests say differently: data, recipe, thresholds, weights and variants, value by value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgeseg.runtime.spec.manifest import Manifest

ADDED, REMOVED = "added", "removed"
AREAS = ("bundle", "recipe", "input", "thresholds", "data", "weights", "variants")

# Values of a manifest that stand for themselves, by the area they are told under; the other areas are lists. Its format
# and identity are not among them: they differ between any two.
_AREAS = {
    "bundle": ("name", "bundle_version", "intended_use", "edgeseg_version", "git_commit"),
    "recipe": ("recipe_sha256",),
    "input": ("input", "classes"),
    "thresholds": ("decision",),
}
_FIGURES = ("dice_mean", "dice", "region_recall", "false_regions_per_negative_frame", "n_images")


@dataclass(frozen=True)
class Change:
    """One value that differs.

    Attributes:
        area: `bundle`, `recipe`, `data`, `weights`, `input`, `thresholds` or `variants`.
        of: Which data set, weights or variant; None where there is one of its kind.
        what: Its dotted key in the manifest, or `added` or `removed` of a whole entry.
        old: The old value; None where there was none.
        new: The new one.
    """

    area: str
    of: str | None
    what: str
    old: Any
    new: Any


def manifest_changes(old: Manifest, new: Manifest) -> list[Change]:
    """Every value of consequence in which two manifests differ, in the order of their areas.

    Of a variant's accuracy and times the figures of a report count, not each of their parts.
    """
    before, after = old.to_json(), new.to_json()
    changes = [
        change
        for area, keys in _AREAS.items()
        for change in _differing(area, None, _picked(before, keys), _picked(after, keys))
    ]
    changes += _entries("data", before["data"], after["data"], lambda one: str(one.get("name")), dict)
    changes += _entries("weights", before["pretrained"], after["pretrained"], _trained, dict)
    changes += _entries("variants", before["variants"], after["variants"], lambda one: str(one["name"]), _facts)
    return changes


def _entries(
    area: str,
    old: Sequence[Mapping[str, Any]],
    new: Sequence[Mapping[str, Any]],
    name_of: Callable[[Mapping[str, Any]], str],
    facts: Callable[[Mapping[str, Any]], dict[str, Any]],
) -> Iterator[Change]:
    """Changes between two lists whose entries have names."""
    before, after = ({name_of(one): facts(one) for one in side} for side in (old, new))
    for name in dict.fromkeys((*before, *after)):
        if name not in after:
            yield Change(area, name, REMOVED, _short(before[name]), None)
        elif name not in before:
            yield Change(area, name, ADDED, None, _short(after[name]))
        else:
            yield from _differing(area, name, before[name], after[name])


def _differing(area: str, of: str | None, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    before, after = dict(_leaves(old)), dict(_leaves(new))
    for key in dict.fromkeys((*before, *after)):
        if before.get(key) != after.get(key):
            yield Change(area, of, key, before.get(key), after.get(key))


def _leaves(value: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and their values; a list is one value."""
    for key, one in value.items():
        if isinstance(one, Mapping):
            yield from _leaves(one, f"{path}{key}.")
        else:
            yield f"{path}{key}", list(one) if isinstance(one, tuple) else one


def _picked(manifest: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: manifest[key] for key in keys}


def _trained(weights: Mapping[str, Any]) -> str:
    return f"{weights.get('of')} {weights.get('name')}"


def _facts(variant: Mapping[str, Any]) -> dict[str, Any]:
    """What is compared of a variant: its file, how it is run, and the figures of a report."""
    facts = {key: variant[key] for key in ("sha256", "bytes", "spec", "opset", "ranges", "needs")}
    facts["accuracy"] = {
        split: {key: figures.get(key) for key in _FIGURES}
        for split, figures in variant["accuracy"].items()
        if isinstance(figures, Mapping)
    }
    facts["measured"] = {
        row["target"]: {"status": row.get("status", "ok"), "total_p50_ms": row.get("total_p50_ms")}
        for row in variant["measured"]
    }
    return facts


def _short(entry: Mapping[str, Any]) -> Any:
    """What identifies a whole entry: the hash of its content."""
    return entry.get("sha256") or entry.get("content_sha256")
