"""Results on stdout: JSON for scripts, tables and sentences for people."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from edgeseg.runtime.names import shown, shown_lines
from edgeseg.runtime.terminal import put_json

# Without a terminal nobody sets a width: wide enough that no line is folded for a file or a pipe.
_PIPE_WIDTH = 240


def show(report: object, rendered: RenderableType, *, as_json: bool) -> None:
    """Print a result: the whole of it as JSON, or its rendered form."""
    if as_json:
        put_json(report)
        return
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    Console(file=sys.stdout, width=width, highlight=False, markup=False).print(_Readable(rendered))
    sys.stdout.flush()


@dataclass
class _Readable:
    """What names bring along cannot steer the terminal: controls that are not rich's own are shown as escapes."""

    rendered: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for part in console.render(self.rendered, options):
            yield part if part.control else Segment(shown_lines(part.text), part.style)


def simple_table(columns: Sequence[str], rows: Sequence[Sequence[object]], left: int = 2) -> Table:
    """A plain table; the first `left` columns are texts, the others numbers. None is printed as a dash."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < left else "right", no_wrap=index < left)
    for row in rows:
        table.add_row(*(Text("-" if cell is None else shown(str(cell))) for cell in row))
    return table


def faults_text(faults: Sequence[Mapping[str, str]], n_images: int | None = None) -> RenderableType:
    """What `data check` found, grouped by kind."""
    if not faults:
        return Text("no faults" + (f" in {n_images} images" if n_images else ""), "green")
    table = simple_table(("file", "kind", "what", "what to do"), [tuple(fault.values()) for fault in faults], left=4)
    for column in table.columns[2:]:
        column.no_wrap = False
    return Group(table, Text(""), Text(f"{len(faults)} fault(s)", "bold red"))


def verify_text(report: Mapping[str, Any]) -> RenderableType:
    """What `verify` checked, what it did not, and how each variant did."""
    rows = [(one["name"], one["status"], one["engine"], _worst(one), one["reason"]) for one in report["variants"]]
    verdict = Text("ok", "bold green") if report["ok"] else Text("NOT OK", "bold red")
    return Group(
        Text.assemble(f"{report['bundle']} ({report['name']} {report['bundle_version']}): ", verdict),
        *(Text(f"  damaged: {one}", "red") for one in report["damaged"]),
        *(Text(f"  checked: {one}") for one in report["checked"]),
        *(Text(f"  not checked: {one}", "dim") for one in report["not_checked"]),
        simple_table(("variant", "status", "engine", "pixels that differ", "reason"), rows, left=3),
    )


def evaluate_text(report: Mapping[str, Any]) -> RenderableType:
    """Accuracy over the split, then by every column asked for."""
    named = [("all", report["accuracy"])]
    named += [
        (f"{column} = {value}", accuracy)
        for column, values in report["by"].items()
        for value, accuracy in values.items()
    ]
    classes = list(report["accuracy"]["dice"])
    columns = ("images", "n", "Dice", *(f"Dice {name}" for name in classes), "median", "p5", "region recall", "small")
    rows = [(name, one["n_images"], *_accuracy(one, classes)) for name, one in named]
    head = f"{report['data']}, split {report['split']}, variant {report['variant']}, {report['engine']}"
    gate = report.get("gate")
    last = [] if gate is None else [Text(f"Dice at least {gate['min_dice']}: {'yes' if gate['passed'] else 'NO'}")]
    return Group(Text(head, "dim"), simple_table(columns, rows, left=1), *last)


def _accuracy(one: Mapping[str, Any], classes: Sequence[str]) -> list[str | None]:
    values = [one["dice_mean"], *(one["dice"].get(name) for name in classes)]
    values += [one["per_image"]["median"], one["per_image"]["p5"], one["region_recall"], one["small_region_recall"]]
    return [f"{value:.3f}" if isinstance(value, float | int) else None for value in values]


def _worst(variant: Mapping[str, Any]) -> str | None:
    shares = [golden["differing_share"] for golden in variant["golden"]]
    return f"{max(shares):.3%}" if shares else None
