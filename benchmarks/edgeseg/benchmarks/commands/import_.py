"""`bench import`: what other tools measured, beside our own results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeseg.benchmarks.commands.failures import errors
from edgeseg.benchmarks.commands.results import Output
from edgeseg.benchmarks.results.imported import import_file


def import_(
    file: Annotated[
        Path,
        typer.Argument(
            help="What trtexec, benchmark_app, benchmark_model or Ultralytics printed; or typed in, JSON or CSV."
        ),
    ],
    *,
    device: Annotated[str | None, typer.Option(help="What it ran on, such as 'Jetson Nano, JetPack 4.6'.")] = None,
    model: Annotated[Path | None, typer.Option(help="The file that was measured, for its hash and size.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the result to this JSON file.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an OUT that is no bench result.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the table as CSV.")] = False,
) -> None:
    """Read what another tool measured; rows are marked `imported` and never compared with measured ones.

    trtexec's figure is GPU Compute Time, which means the same in all versions.
    """
    with errors():
        output = Output(out, as_json, as_csv, overwrite)
        output.check((file, model), ("imported",))
        output.show({"imported": import_file(file, device, model)})
