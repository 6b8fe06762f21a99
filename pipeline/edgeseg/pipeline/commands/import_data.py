"""`edgeseg data import`: options of the command, and what it says of what it found."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.pipeline.commands.options import Json, invocation
from edgeseg.pipeline.text.failures import reported

if TYPE_CHECKING:
    from rich.console import RenderableType


def import_(
    source: Annotated[Path, typer.Argument(help="Folder with images and annotations.", metavar="SRC")],
    place: Annotated[Path, typer.Argument(help="Folder that is made; nothing may be in it.", metavar="DST")],
    kind: Annotated[str, typer.Option("--from", help="labelme, coco, cvat, yolo, palette or color.", metavar="FORMAT")],
    classes: Annotated[
        str | None,
        typer.Option(
            help="Classes to take, by id from 1 on, with commas between; with color NAME=#RRGGBB. Default: all.",
            metavar="NAMES",
        ),
    ] = None,
    boxes: Annotated[bool, typer.Option("--boxes", help="Take boxes that have no outline as objects.")] = False,
    crowds: Annotated[
        bool, typer.Option("--crowds", help="Take COCO's crowds (iscrowd) as objects: some tools mark strokes so.")
    ] = False,
    skip_unannotated: Annotated[
        bool, typer.Option("--skip-unannotated", help="Leave out images without annotation.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a data set out of another tool's: images as they are, masks of class ids, dataset.yaml, meta.csv.

    Counts what is taken, lists what is not and why, and shows what each class covers. SRC stays as it is.
    """
    with reported(debug=invocation.debug):
        from edgeseg.pipeline.data_import import ImportOrder, import_data
        from edgeseg.pipeline.data_import.source import Wishes
        from edgeseg.pipeline.text.progress import count_progress
        from edgeseg.pipeline.text.shown import show

        wanted = tuple(name.strip() for name in classes.split(",") if name.strip()) if classes else None
        order = ImportOrder(kind, source, place, Wishes(wanted, boxes, crowds), skip_unannotated)
        with count_progress("importing images") as progress:
            report = import_data(order, progress)
        show(report, import_text(report), as_json=as_json)


def import_text(report: Mapping[str, Any]) -> RenderableType:
    """The report for people."""
    from rich.console import Group
    from rich.text import Text

    from edgeseg.pipeline.recipe.data_said import split_words
    from edgeseg.pipeline.text.shown import Verbatim, simple_table

    objects = ", ".join(f"{count} {kind}" for kind, count in report["objects"].items())
    splits = split_words(report["splits"]) or "none, a seeded one will be made"
    head = f"{report['images']} images from {report['format']}, {report['unannotated']} of them without annotation"
    rows = [(one["id"], one["name"], f"{one['pixels']:.2%}", one["n_images"]) for one in report["classes"]]
    ignored = "; 255 in the masks marks pixels that do not count" if report["ignore"] is not None else ""
    return Group(
        Text(head + (f"; drawn: {objects}" if objects else "")),
        Text(f"{report['color']}; split: {splits}{ignored}"),
        *(Text(f"not taken: {_row(one)}", "yellow") for one in report["not_taken"]),
        *(Text(f"note: {_row(one)}") for one in report["noted"]),
        *(Text(f"note: {one}") for one in report["notes"]),
        simple_table(("id", "class", "pixels", "images"), rows, left=2),
        Text(f"wrote {report['data']}; look at it, then:"),
        *(Verbatim(f"  {line}") for line in report["next"]),
    )


def _row(one: Mapping[str, Any]) -> str:
    more = ", ..." if one["n"] > len(one["examples"]) else ""
    return f"{one['reason']} ({one['n']}): {', '.join(one['examples'])}{more}"
