"""`edgeseg diff`: the change record of two bundles, read on the terminal or kept as a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.pipeline.commands.options import Json, Threads, invocation
from edgeseg.pipeline.text.failures import reported
from edgeseg.runtime.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from edgeseg.pipeline.change.record import Section


def diff(
    old: Annotated[Path, typer.Argument(help="The bundle in use.", metavar="OLD")],
    new: Annotated[Path, typer.Argument(help="The one to replace it.", metavar="NEW")],
    data: Annotated[
        Path | None,
        typer.Option(help="Run both on this data set, and list every image whose decision or mask is another.",
                     metavar="DIR"),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="train, val, test or all. Default: test where meta.csv has a column split, else all."),
    ] = None,
    variant: Annotated[
        str | None, typer.Option(help="Variant to run of both. Default: of each the best one here.", metavar="NAME")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Also keep the record: FILE.md as Markdown, FILE.json whole.", metavar="FILE")
    ] = None,
    threads: Threads = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Say what changed between two bundles: data, recipe, thresholds, variants, and what they see in equal images."""
    with reported(debug=invocation.debug):
        from edgeseg.pipeline.change.paired import Pairing
        from edgeseg.pipeline.change.record import change_record, markdown, sections
        from edgeseg.pipeline.text.progress import count_progress
        from edgeseg.pipeline.text.shown import show
        from edgeseg.runtime.files.atomic import refuse_device_or_pipe, write_json, write_text

        if out is not None and out.suffix not in (".md", ".json"):
            raise ConfigError(f"--out {out}: name a file that ends in .md or .json")
        if out is not None:
            refuse_device_or_pipe(out)
        if data is None and (split, variant) != (None, None):
            raise ConfigError("--split and --variant are of the images of --data; give --data DIR too")
        order = None if data is None else Pairing(data, split, variant, threads)
        with count_progress("running both bundles") as progress:
            record = change_record(old, new, order, progress)
        if out is not None and out.suffix == ".md":
            write_text(out, markdown(record))
        elif out is not None:
            write_json(out, record)
        show(record, diff_text(sections(record)), as_json=as_json)


def diff_text(parts: Sequence[Section]) -> RenderableType:
    """The sections one below the other."""
    from rich.console import Group
    from rich.text import Text

    from edgeseg.pipeline.text.shown import simple_table

    shown: list[Any] = []
    for one in parts:
        shown += [Text(one.title, "bold"), *(Text(f"  {line}") for line in one.lines)]
        if one.rows:
            shown.append(simple_table(one.columns, one.rows, left=len(one.columns)))
        shown.append(Text(""))
    return Group(*shown[:-1])
