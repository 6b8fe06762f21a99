"""`edgeseg unpack`: what is in a bundle, as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeseg.pipeline.commands.options import BundleFile, Json, invocation
from edgeseg.pipeline.text.failures import reported


def unpack(
    bundle: BundleFile,
    out: Annotated[Path, typer.Option(help="The folder to write: not there yet, or empty.", metavar="DIR")],
    variant: Annotated[
        str | None,
        typer.Option(help="This one alone, as a step's folder. Default: every entry as it is.", metavar="NAME"),
    ] = None,
    with_code: Annotated[
        bool,
        typer.Option("--with-code", help="With --variant: also its contract and a C++ file that runs it alone."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the files in a bundle, each held against its hash; signatures are not checked here, `verify` does."""
    with reported(debug=invocation.debug):
        from rich.text import Text

        from edgeseg.export import unpack as taking_apart
        from edgeseg.pipeline.text.shown import show
        from edgeseg.runtime.errors import ConfigError
        from edgeseg.runtime.opening.bundle import Bundle
        from edgeseg.runtime.trust.policy import ANY

        if with_code and variant is None:
            raise ConfigError("--with-code is of one variant; name it with --variant")
        with Bundle.open(bundle, ANY) as opened:
            files = taking_apart.unpack(opened, out, variant, with_code)
        show({"folder": str(out), "files": list(files)}, Text(f"wrote {len(files)} files to {out}"), as_json=as_json)
