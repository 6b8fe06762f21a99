"""The change record: what is different between two bundles, as one JSON object and as sections to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeseg.pipeline.chain.provenance import code_and_time
from edgeseg.pipeline.change.manifests import AREAS, manifest_changes
from edgeseg.pipeline.change.paired import Pairing, Progress, paired_differences
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.trust.policy import ANY

_SCHEMA_VERSION = 1
_MISSING = "-"


@dataclass(frozen=True)
class Section:
    """A part of the record to read.

    Attributes:
        title: Its heading.
        lines: Sentences.
        columns: Of its table; empty where it has none.
        rows: Of its table.
    """

    title: str
    lines: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def change_record(
    old: Path, new: Path, order: Pairing | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Compare two bundles.

    Args:
        old: The bundle in use.
        new: The one to replace it.
        order: The images both are run on; None compares what the manifests say.
        progress: Called with (done, total) after every image.

    Returns:
        `schema_version`; `created edgeseg_version git_commit` of the record itself; `old` and `new` (`file name
        bundle_id bundle_version sums_sha256 signed`: each signature's role, date and key, none of them checked);
        `replaces`: whether the new one names the old as the bundle it replaces; `changes` (see `manifests.Change`);
        `paired` (see `paired.paired_differences`), None without images.

    Raises:
        EdgesegError: If a bundle or the data cannot be used; see `paired_differences`.
    """
    manifests, identities = [], []
    for path in (old, new):
        with Bundle.open(path, ANY) as bundle:  # to read it is not to run it
            manifests.append(bundle.manifest)
            identities.append(_identity(bundle))
    before, after = manifests
    return {
        "schema_version": _SCHEMA_VERSION,
        **code_and_time(),
        "old": identities[0],
        "new": identities[1],
        "replaces": after.previous_bundle == before.bundle_id,
        "changes": [asdict(change) for change in manifest_changes(before, after)],
        "paired": None if order is None else paired_differences(old, new, order, progress),
    }


def sections(record: Mapping[str, Any]) -> list[Section]:
    """The record to read, for terminal and Markdown alike."""
    head = Section("Change record", tuple(_head(record)))
    changes = [_changes(area, record["changes"]) for area in dict.fromkeys(one["area"] for one in record["changes"])]
    paired = record["paired"]
    if paired is None:
        return [head, *changes, Section("Same images", ("Not compared: no images were given (--data DIR).",))]
    return [head, *changes, _scores(paired), _flipped(paired)]


def markdown(record: Mapping[str, Any]) -> str:
    """The record as Markdown."""
    parts = []
    for level, one in enumerate(sections(record)):
        parts.append(f"{'##' if level else '#'} {one.title}")
        parts.append("\n".join(f"- {_plain(line)}" for line in one.lines))
        if one.rows:
            lines = (one.columns, ("---",) * len(one.columns), *one.rows)
            parts.append("\n".join("| " + " | ".join(map(_plain, line)) + " |" for line in lines))
    return "\n\n".join(part for part in parts if part) + "\n"


def _identity(bundle: Bundle) -> dict[str, Any]:
    named = {key: getattr(bundle.manifest, key) for key in ("name", "bundle_id", "bundle_version")}
    signers = [one.statement for one in bundle.signatures]
    signed = [{"role": one.role, "date": one.date.isoformat(), "key_id": one.key.key_id} for one in signers]
    return {"file": bundle.path.name, **named, "sums_sha256": bundle.sums_sha256, "signed": signed}


def _head(record: Mapping[str, Any]) -> list[str]:
    old, new = record["old"], record["new"]
    made = f"Made {record['created']} by edgeseg {record['edgeseg_version']}"
    lines = [f"{made}, commit {record['git_commit']}." if record["git_commit"] else f"{made}."]
    for word, one in (("old", old), ("new", new)):
        lines.append(f"{word}: {one['file']}, {one['bundle_id']}, version {one['bundle_version']}")
        lines.append(f"{word}: SHA-256 of its SHA256SUMS {one['sums_sha256']}")
        by = ", ".join(f"{his['role']} on {his['date']} by key {his['key_id']}" for his in one["signed"])
        lines.append(f"{word}: signed as {by} (not checked here, `verify` does)" if by else f"{word}: not signed")
    if old["bundle_id"] == new["bundle_id"]:
        return [*lines, "The two are the same bundle."]
    names = "names" if record["replaces"] else "does NOT name"
    lines.append(f"The new bundle {names} the old one as the bundle it replaces.")
    same = [area for area in AREAS if area not in {one["area"] for one in record["changes"]}]
    return [*lines, f"The same in both manifests: {', '.join(same)}."] if same else lines


def _changes(area: str, changes: Sequence[Mapping[str, Any]]) -> Section:
    own = [one for one in changes if one["area"] == area]
    rows = tuple((one["of"] or area, one["what"], _value(one["old"]), _value(one["new"])) for one in own)
    return Section(f"Changed: {area}", (), ("of", "what", "old", "new"), rows)


def _scores(paired: Mapping[str, Any]) -> Section:
    lines = [f"{paired['data']}, split {paired['split']}: {paired['split_reason']}."]
    lines.append(f"{paired['n_images']} images of {paired['n_groups']} group(s); {_same_data(paired)}.")
    lines += [_drop("Dice", paired["dice_drop"]), _drop("Regions found", paired["region_recall_drop"])]
    lines += [f"{side}: {warning}" for side in ("old", "new") for warning in paired[side]["warnings"]]
    lines += [*paired["notes"], *(f"not checked: {one}" for one in paired["not_checked"])]
    rows = tuple(
        (side, paired[side]["variant"], paired[side]["engine"], *_figures(paired[side]["accuracy"]))
        for side in ("old", "new")
    )
    columns = ("bundle", "variant", "engine", "Dice", "Dice by class", "regions found", "false regions per clean frame")
    return Section("Same images", tuple(lines), columns, rows)


def _same_data(paired: Mapping[str, Any]) -> str:
    """Whether these are the images that the bundles come from; their hash is of all splits."""
    made_of = [side for side in ("old", "new") if paired[side]["made_of_this_data"]]
    whose = {0: "neither bundle", 2: "both bundles"}.get(len(made_of)) or f"the {made_of[0]} bundle alone"
    return f"content SHA-256 {paired['content_sha256']}, the data of {whose}"


def _drop(name: str, drop: Mapping[str, Any] | None) -> str:
    if drop is None:
        return f"{name}: no difference can be given, for lack of foreground."
    change = f"{name}, new minus old: {-drop['mean']:+.4f}"
    if drop["lo95"] is None:
        return f"{change}, without an interval (fewer than two groups): not shown to be other than chance."
    shown = "it holds 0: no difference is shown" if drop["lo95"] <= 0 <= drop["hi95"] else "it does not hold 0"
    return f"{change}, 95 % interval {-drop['hi95']:+.4f} to {-drop['lo95']:+.4f} ({shown})."


def _flipped(paired: Mapping[str, Any]) -> Section:
    lines = (
        f"{paired['n_decisions_flipped']} of {paired['n_images']} images are decided otherwise.",
        f"{paired['n_masks_flipped']} of {paired['n_images']} have another mask.",
    )
    rows = tuple(
        (
            *(one["image"], one["group"], _decision(one), f"{one['differing_share']:.3%}"),
            *(_number(one[key]) for key in ("dice_old", "dice_new")),
        )
        for one in paired["flipped"]
    )
    return Section(
        "Images seen otherwise", lines, ("image", "group", "decision", "pixels", "Dice old", "Dice new"), rows
    )


def _decision(one: Mapping[str, Any]) -> str:
    old, new = one["decision_old"], one["decision_new"]
    return f"{old} as before" if old == new else f"{old} -> {new}"


def _figures(accuracy: Mapping[str, Any]) -> tuple[str, ...]:
    by_class = ", ".join(f"{name} {_number(dice)}" for name, dice in accuracy["dice"].items())
    rest = ("region_recall", "false_regions_per_negative_frame")
    return (_number(accuracy["dice_mean"]), by_class, *(_number(accuracy[key]) for key in rest))


def _number(value: float | str | None) -> str:
    """A figure; or why there is none, where that is said in words."""
    return _value(value) if value is None or isinstance(value, str) else f"{value:.3f}"


def _value(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or _MISSING
    return _MISSING if value is None else str(value)


def _plain(text: str) -> str:
    """One line; a bar or a tag in a name cannot break the table or the page."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
