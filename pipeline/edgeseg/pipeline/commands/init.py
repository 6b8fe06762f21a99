"""`edgeseg init`: look at a user's folder, then write dataset.yaml (if missing) and a commented recipe into it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from edgeseg.pipeline.recipe.data_said import split_words
from edgeseg.pipeline.recipe.linked_folder import link
from edgeseg.pipeline.recipe.look import Look, look_at
from edgeseg.pipeline.recipe.template import choose, recipe_text
from edgeseg.pipeline.recipe.yaml_word import yaml_word
from edgeseg.pipeline.text.data import folder_json, folder_text
from edgeseg.pipeline.text.shown import Verbatim
from edgeseg.runtime.data.folder import Description, read_description
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.files.atomic import write_bytes, write_text
from edgeseg.runtime.text.shell import command

_LONGEST_NAME = 64


def init_folder(
    root: Path, progress: Callable[[int, int], None] | None = None, out: Path | None = None
) -> dict[str, Any]:
    """Write `dataset.yaml` (if missing) and `recipe.yaml` into a folder of images and masks, or into another one.

    Args:
        root: The folder; nothing that is in it is changed.
        progress: Called with (done, total) while images are looked at.
        out: A folder for the two files, with links to the images, masks and meta.csv of `root`: a data set like any
            other, so that every command takes it. None writes into `root`.

    Returns:
        JSON-able: `data`, `wrote`, `kept`, `found`, `chosen` (with the reason), `notes`, `not_taken`, `foreground`,
        `unused_columns`, `warnings`, `next` (commands).

    Raises:
        ConfigError: If there is a recipe.yaml already, or `out` has something else in place of a link.
        DataError: If the folder cannot be used, with all that is missing.
    """
    place = root if out is None or out.resolve() == root.resolve() else out
    recipe, description = place / "recipe.yaml", place / "dataset.yaml"
    if os.path.lexists(recipe):
        raise ConfigError(f"{recipe} exists and is not overwritten; remove or rename it to have a new one written")
    if description.is_symlink() and not description.exists():
        raise ConfigError(f"{description} is a link that leads nowhere, and is not overwritten; remove or mend it")
    described = next((one for one in (place, root) if (one / "dataset.yaml").exists()), None)
    known = None if described is None else read_description(described)
    look = look_at(root, progress, known.ignore if known else None)
    about = known or _describe(root, look)
    chosen = choose(look)
    if place != root:
        _link_data(place, root)
    kept = described == place
    if described is None:
        write_text(description, _description_text(about, look))
    elif not kept:
        write_bytes(description, (described / "dataset.yaml").read_bytes())
    write_text(recipe, recipe_text(_short_name(about.name), place.resolve().name, about, look, chosen))
    return {
        "data": str(place),
        "wrote": [str(recipe)] if kept else [str(description), str(recipe)],
        "kept": [str(description)] if kept else [],
        "found": _found(look, about),
        "chosen": {"geometry": chosen.words, "reason": chosen.reason},
        "notes": _notes(look, about),
        **folder_json(look.not_taken, look.shares.by_class(about.classes), look.columns),
        "warnings": [asdict(one) for one in (*look.warnings, *look.shares.warnings(about.classes))],
        "next": [command("edgeseg", "data", "check", place), command("edgeseg", "run", recipe, "--data", place)],
    }


def init_text(report: Mapping[str, Any]) -> RenderableType:
    """The report for people."""
    found = report["found"]
    splits = split_words(found["splits"]) or "none, a seeded one will be made"
    lines = [
        f"{found['images']} images with masks, {found['negative']} without foreground; {found['color']}; "
        f"classes {', '.join(found['classes'])}; split: {splits}",
        f"sizes: {', '.join(found['sizes'])}",
        f"geometry: {report['chosen']['geometry']}: {report['chosen']['reason']}",
        *report["notes"],
        *(f"warning: {one['file']}: {one['message']}; {one['remedy']}" for one in report["warnings"]),
        *(f"wrote {path}" for path in report["wrote"]),
        *(f"kept  {path}" for path in report["kept"]),
        "look through both files, then:",
    ]
    return Group(
        Text(lines[0]),
        folder_text(report),
        *map(Text, lines[1:]),
        *(Verbatim(f"  {line}") for line in report["next"]),
    )


def _link_data(place: Path, root: Path) -> None:
    """Make a folder a data set whose images, masks and table are those of another."""
    if place.exists() and not place.is_dir():
        raise ConfigError(f"--out {place} is no folder; name one")
    place.mkdir(parents=True, exist_ok=True)
    for name in ("images", "masks", "meta.csv"):
        if (root / name).exists():
            link(place / name, root / name)


def _describe(root: Path, look: Look) -> Description:
    names = ("foreground",) if look.n_classes == 2 else tuple(f"class_{k}" for k in range(1, look.n_classes))
    return Description(root.resolve().name, ("background", *names), look.color, ignore=look.ignore, window=look.window)


def _description_text(about: Description, look: Look) -> str:
    return f"""\
# Written by `edgeseg init` after looking at {look.n_images} images; correct what it could not know.
name: {yaml_word(_short_name(about.name))}
classes: [{", ".join(map(yaml_word, about.classes))}] # by class id, the background first; give the others their names
{_ignore_text(about)}
color: {about.color} # gray or rgb
{_window_line(about)}# pixel_mm: 0.05 # edge length of a pixel, if known: distances are then also given in mm
licence: unknown # of the images
may_redistribute: false # true: images may be shown in reports and packed into bundles
"""


def _ignore_text(about: Description) -> str:
    if about.ignore is None:
        return "# ignore: 255 # value in the masks of pixels that do not count, if there is one"
    return f"ignore: {about.ignore} # found beside class ids: nothing is learnt from these pixels, nothing scored there"


def _notes(look: Look, about: Description) -> list[str]:
    """What 255 in the masks was taken for, since it can mean two things."""
    if look.ignore is not None and about.ignore is None:
        return [
            f"masks hold {look.ignore} beside class ids: if it marks pixels to leave out, add ignore: {look.ignore}"
        ]
    if look.ignore is not None:
        return [f"pixels of {look.ignore} in the masks do not count (ignore: {look.ignore} in dataset.yaml)"]
    if look.values == (0, 255):
        return [
            "masks hold 0 and 255: 255 is taken for the foreground; if it marks pixels to leave out, add ignore: 255"
        ]
    return []


def _window_line(about: Description) -> str:
    if about.window is None:
        return ""
    return f"window: {list(about.window)} # 16-bit values that become 0 and 255 in every image, also on the device\n"


def _short_name(name: str) -> str:
    """A name that file names and recipes take, with room for what is put behind it."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_-")[:_LONGEST_NAME] or "data"


def _found(look: Look, about: Description) -> dict[str, Any]:
    sizes = [f"{width}x{height} ({count})" for (height, width), count in look.sizes_px[:4]]
    return {
        "images": look.n_images,
        "negative": look.n_negative,
        "color": about.color,
        "classes": list(about.classes),
        "sizes": sizes + (["..."] if len(look.sizes_px) > 4 else []),
        "splits": look.splits,
        "columns": [column.name for column in look.columns],
        "small_region": round(look.small_region, 4),
    }
