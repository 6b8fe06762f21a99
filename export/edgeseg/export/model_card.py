"""The model card of a bundle: its manifest in words, for whoever has to answer for what runs.

It says nothing that the manifest does not hold, so that it is the same for the same bundle, and names what is missing.

Reference:
    Mitchell et al. 2019, "Model Cards for Model Reporting", FAT* 2019 (sections of a card).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgeseg.runtime.engines import ENGINES, FEATURES
from edgeseg.runtime.spec.manifest import InputSpec, Manifest, Variant

_NONE = "not stated"
_CHOICES = "Choices were made on val; test was scored once, after them."
_LIMITS = (
    "Nothing is claimed for images of another kind, camera or preparation than the data above.",
    "A device, engine or precision without a row above has not been measured; a time of one machine says nothing of "
    "another.",
    "Golden masks show that a variant runs as it was packed, not how well it sees.",
    "An interval covers which images happened to be in the split, not what another training would have given.",
    "Research software: no clinical performance and no conformity with a standard is claimed.",
)


def model_card(manifest: Manifest) -> str:
    """Write the card of a bundle, Markdown.

    Args:
        manifest: Of the bundle, complete with its `bundle_id`.
    """
    parts = [
        f"# Model card: {manifest.name} {manifest.bundle_version}",
        _table(("", ""), _identity(manifest)),
        f"## Intended use\n\n{_cell(manifest.intended_use) or _NONE}",
        f"## What it does\n\n{_does(manifest)}",
        f"## Data\n\n{_data(manifest.data)}",
        f"## Weights it started from\n\n{_weights(manifest)}",
        f"## Accuracy\n\n{_accuracy(manifest)}",
        f"## Variants\n\n{_variants(manifest.variants)}",
        f"## Limits\n\n{_bullets((*_own_limits(manifest), *_LIMITS))}",
    ]
    return "\n\n".join(parts) + "\n"


def _identity(manifest: Manifest) -> list[tuple[str, object]]:
    return [
        ("bundle", manifest.bundle_id),
        ("replaces", manifest.previous_bundle or "no other bundle is named"),
        ("packed by edgeseg", manifest.edgeseg_version),
        ("commit of the code", manifest.git_commit or _NONE),
        ("SHA-256 of the recipe", manifest.recipe_sha256 or _NONE),
    ]


def _does(manifest: Manifest) -> str:
    decision, classes = manifest.decision, ", ".join(manifest.classes[1:])
    sentences = [
        f"Gives every pixel of a frame one of {len(manifest.classes)} classes: {manifest.classes[0]}, {classes}.",
        _frames(manifest.input),
        f"A part is rejected for a region of at least {decision.min_area_px} px.",
    ]
    if any(one.spec.output.activation == "sigmoid" for one in manifest.variants):
        chosen = f"chosen on {decision.fitted_on}" if decision.fitted_on else "a default, chosen on no data"
        sentences.append(f"A pixel is foreground above the probability {decision.value:g} ({chosen}).")
    return _bullets(sentences)


def _frames(spec: InputSpec) -> str:
    geometry = spec.geometry
    how = {
        "native": f"at their own size, padded to a multiple of {spec.stride_px} px",
        "resize": f"scaled to {geometry.width_px} x {geometry.height_px} px (width x height)",
        "tile": f"cut into tiles of {geometry.tile_px} px that overlap by {geometry.overlap_px} px",
    }[geometry.mode]
    window = f", 16-bit values {spec.window[0]} to {spec.window[1]} mapped to 8 bits" if spec.window else ""
    return f"Takes {spec.color} frames {how}{window}."


def _data(data: Sequence[Mapping[str, Any]]) -> str:
    if not data:
        return "Not stated: the bundle does not say what it was trained on."
    return "\n\n".join(_data_set(one) for one in data)


def _data_set(one: Mapping[str, Any]) -> str:
    counts = one.get("counts") or {}
    used = "for the scores below; what it was trained on is not known" if one.get("used_for") == "scores" else None
    travels = {True: "yes", False: "no"}.get(one.get("may_redistribute"))  # type: ignore[arg-type]
    splits = ", ".join(
        f"{name} {members.get('images')} images of {members.get('groups')} groups" for name, members in counts.items()
    )
    rows = [
        ("name", one.get("name")),
        ("used", used or "training (train), choices (val), one final score (test)"),
        ("licence", one.get("licence")),
        ("may be redistributed", travels),
        ("images", one.get("n_images")),
        ("groups (parts, patients, series)", one.get("n_groups")),
        ("split", splits or None),
        ("size of a pixel [mm]", one.get("pixel_mm")),
        ("SHA-256 of content", one.get("content_sha256")),
        ("SHA-256 of split", one.get("split_sha256")),
    ]
    return _table(("", ""), [(name, _NONE if value is None else value) for name, value in rows])


def _weights(manifest: Manifest) -> str:
    if manifest.pretrained:
        columns = ("of", "name", "licence", "trained_on", "source", "sha256")
        rows = [[one.get(column) for column in columns] for one in manifest.pretrained]
        return _table(("network", "weights", "licence", "trained on", "source", "SHA-256"), rows)
    if _foreign(manifest):
        return "Not known: the files were packed as they were given."
    return "None: it was trained from scratch on the data above."


def _foreign(manifest: Manifest) -> bool:
    """Whether it was packed from files of which nobody said how they were trained."""
    return not manifest.data or any(one.get("used_for") == "scores" for one in manifest.data)


def _accuracy(manifest: Manifest) -> str:
    rows = [
        (
            *(one.name, split, accuracy.get("n_images"), accuracy.get("n_groups"), _with_interval(accuracy)),
            _classes(accuracy.get("dice")),
            *(_three(accuracy.get(key)) for key in ("region_recall", "false_regions_per_negative_frame")),
        )
        for one in manifest.variants
        for split, accuracy in one.accuracy.items()
        if isinstance(accuracy, Mapping)
    ]
    if not rows:
        return "Not scored: the bundle carries no accuracy."
    columns = ("variant", "split", "images", "groups", "Dice (95 % interval)", "Dice by class", "regions found")
    chosen = "Which images its maker chose it by is not known." if _foreign(manifest) else _CHOICES
    note = f"{chosen} Dice is summed over the split's pixels."
    return f"{_table((*columns, 'false regions per clean frame'), rows)}\n\n{note}"


def _variants(variants: Sequence[Variant]) -> str:
    files = [(one.name, one.spec.backend, one.spec.precision, one.bytes, _needs(one), one.sha256) for one in variants]
    times = [
        (one.name, row["target"], _timed(row), row.get("reason") or "") for one in variants for row in one.measured
    ]
    table = _table(("variant", "engine", "precision", "bytes", "needs", "SHA-256"), files)
    if not times:
        return f"{table}\n\nNo variant was timed."
    heads = ("variant", "on", "median of a frame, end to end", "remark")
    return f"{table}\n\n{_table(heads, times)}"


def _timed(row: Mapping[str, Any]) -> str:
    status, time_ms = row.get("status", "ok"), row.get("total_p50_ms")
    time = "not measured" if time_ms is None else f"{time_ms:.3f} ms"
    return time if status in ("ok", time) else f"{status}, {time}"


def _own_limits(manifest: Manifest) -> list[str]:
    tests = [one.accuracy.get("test") for one in manifest.variants]
    known = [one for one in tests if isinstance(one, Mapping)]
    limits = []
    if len(known) < len(tests):
        limits.append("Not every variant was scored on test images.")
    if known and not all(one.get("dice_interval") for one in known):
        limits.append("Dice on test comes without an interval.")
    if known and known[0].get("n_groups"):
        limits.append(f"The test images come from {known[0]['n_groups']} group(s): see how wide the intervals are.")
    engines = {one.spec.backend for one in manifest.variants}
    untouched = [name for name in ENGINES if name not in engines]
    return [*limits, f"No variant of this bundle is for {', '.join(untouched)}."] if untouched else limits


def _needs(variant: Variant) -> str:
    return "; ".join(f"{need} (else {FEATURES[need].without})" for need in variant.needs) or "no special processor"


def _with_interval(accuracy: Mapping[str, Any]) -> str:
    dice, interval = _three(accuracy.get("dice_mean")), accuracy.get("dice_interval")
    return f"{dice} ({interval['lo95']:.3f} to {interval['hi95']:.3f})" if interval else dice


def _classes(dice: object) -> str:
    return ", ".join(f"{name} {_three(value)}" for name, value in dice.items()) if isinstance(dice, Mapping) else ""


def _three(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) else "not known"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(value: object) -> str:
    """One line of text; a bar or a tag in a name cannot break the table or the page."""
    text = _NONE if value is None else str(value)
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _bullets(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)
