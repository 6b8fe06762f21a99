"""`edgeseg init`: look at a user's folder, then write dataset.yaml (if missing) and a commented recipe into it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from edgeseg.pipeline.init_recipe import choose, recipe_text
from edgeseg.pipeline.look import Look, look_at
from edgeseg.runtime.atomic import write_text
from edgeseg.runtime.datafolder import Description, read_description
from edgeseg.runtime.errors import ConfigError


def init_folder(root: Path, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Write `dataset.yaml` (if missing) and `recipe.yaml` into a folder of images and masks.

    Args:
        root: The folder; nothing that is in it is changed.
        progress: Called with (done, total) while images are looked at.

    Returns:
        JSON-able: `data`, `wrote`, `kept`, `found`, `chosen` (with the reason), `next` (commands).

    Raises:
        ConfigError: If there is a recipe.yaml already.
        DataError: If the folder cannot be used, with all that is missing.
    """
    recipe = root / "recipe.yaml"
    if recipe.exists():
        raise ConfigError(f"{recipe} exists and is not overwritten; remove or rename it to have a new one written")
    description = root / "dataset.yaml"
    had_description = description.exists()
    look = look_at(root, progress)
    about = read_description(root) if had_description else _describe(root, look)
    chosen = choose(look)
    if not had_description:
        write_text(description, _description_text(about, look))
    write_text(recipe, recipe_text(_short_name(about.name), about, look, chosen))
    return {
        "data": str(root),
        "wrote": [str(recipe)] if had_description else [str(description), str(recipe)],
        "kept": [str(description)] if had_description else [],
        "found": _found(look, about),
        "chosen": {"geometry": chosen.words, "reason": chosen.reason},
        "next": [f"edgeseg data check {root}", f"edgeseg run {recipe} --data {root}"],
    }


def init_text(report: Mapping[str, Any]) -> RenderableType:
    """The report for people."""
    found = report["found"]
    splits = (
        ", ".join(f"{count} {name}" for name, count in found["splits"].items()) or "none, a seeded one will be made"
    )
    lines = [
        f"{found['images']} images, {found['negative']} without foreground; {found['color']}; "
        f"classes {', '.join(found['classes'])}; split: {splits}",
        f"sizes: {', '.join(found['sizes'])}",
        f"geometry: {report['chosen']['geometry']}: {report['chosen']['reason']}",
        *(f"wrote {path}" for path in report["wrote"]),
        *(f"kept  {path}" for path in report["kept"]),
        "look through both files, then:",
        *(f"  {command}" for command in report["next"]),
    ]
    return Group(*map(Text, lines))


def _describe(root: Path, look: Look) -> Description:
    names = ("foreground",) if look.n_classes == 2 else tuple(f"class_{k}" for k in range(1, look.n_classes))
    return Description(root.resolve().name, ("background", *names), look.color, window=look.window)


def _description_text(about: Description, look: Look) -> str:
    return f"""\
# Written by `edgeseg init` after looking at {look.n_images} images; correct what it could not know.
name: {_short_name(about.name)}
classes: [{", ".join(about.classes)}] # by class id, the background first; give the others their names
color: {about.color} # gray or rgb
{_window_line(about)}# pixel_mm: 0.05 # edge length of a pixel, if known: distances are then also given in mm
licence: unknown # of the images
may_redistribute: false # true: images may be shown in reports and packed into bundles
"""


def _window_line(about: Description) -> str:
    if about.window is None:
        return ""
    return f"window: {list(about.window)} # 16-bit values that become 0 and 255 in every image, also on the device\n"


def _short_name(name: str) -> str:
    """A name that YAML, file names and recipes all take."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_-") or "data"


def _found(look: Look, about: Description) -> dict[str, Any]:
    sizes = [f"{width}x{height} ({count})" for (height, width), count in look.sizes_px[:4]]
    return {
        "images": look.n_images,
        "negative": look.n_negative,
        "color": about.color,
        "classes": list(about.classes),
        "sizes": sizes + (["..."] if len(look.sizes_px) > 4 else []),
        "splits": look.splits,
        "columns": list(look.columns),
        "small_region": round(look.small_region, 4),
    }
