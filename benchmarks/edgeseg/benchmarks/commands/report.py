"""`bench report`: results as a page or as a text."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from edgeseg.benchmarks.commands.failures import errors
from edgeseg.benchmarks.gates.junit import to_junit
from edgeseg.benchmarks.results.result import BenchResult
from edgeseg.benchmarks.results.result_file import read_result
from edgeseg.benchmarks.results.table import to_csv
from edgeseg.benchmarks.summary.page import to_html
from edgeseg.benchmarks.summary.texts import to_markdown, to_prometheus
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.files.atomic import write_text
from edgeseg.runtime.text.terminal import put

_ENDINGS = ".html, .md, .csv, .xml (JUnit), .prom (Prometheus)"


def report(
    results: Annotated[list[Path], typer.Argument(help="Results of `bench run --out`.")],
    *,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help=f"The file to write; its ending says what: {_ENDINGS}."),
    ] = None,
) -> None:
    """Show results side by side: without OUT as Markdown on stdout, else as a page, table or text in one file."""
    with errors():
        read = [read_result(path) for path in results]
        if out is None:
            put(to_markdown(read).removesuffix("\n"))
            return
        if out.suffix.lower() not in FORMATS:
            raise ConfigError(f"--out {out}: end its name in one of {', '.join(FORMATS)}")
        if any(path.exists() and out.exists() and path.samefile(out) for path in results):
            raise ConfigError(f"--out {out} would replace a result: name another file")
        if out.suffix.lower() == ".html":
            names = " ".join(shlex.quote(path.name) for path in results)
            write_text(out, to_html(read, [f"edgeseg bench report {names} -o {shlex.quote(out.name)}"]))
        else:
            write_text(out, FORMATS[out.suffix.lower()](read))


def _joined_csv(results: Sequence[BenchResult]) -> str:
    """One header, then the rows of all."""
    tables = [to_csv(result).splitlines(keepends=True) for result in results]
    return "".join([tables[0][0], *(line for lines in tables for line in lines[1:])])


def _only(results: Sequence[BenchResult], write: Callable[[BenchResult], str]) -> str:
    if len(results) != 1:
        raise ConfigError(f"a JUnit file is of one result, {len(results)} are given")
    return write(results[0])


# By the ending of the file that is written.
FORMATS: dict[str, Callable[[Sequence[BenchResult]], str]] = {
    ".html": to_html,
    ".md": to_markdown,
    ".csv": _joined_csv,
    ".xml": lambda results: _only(results, to_junit),
    ".prom": to_prometheus,
}
