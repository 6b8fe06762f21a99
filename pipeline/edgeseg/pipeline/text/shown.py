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

from edgeseg.runtime.text.names import shown, shown_lines
from edgeseg.runtime.text.terminal import put_json

# Without a terminal nobody sets a width: wide enough that no line is folded for a file or a pipe.
_PIPE_WIDTH = 240
_CLASS_COLUMNS = 4  # of the first table of `evaluate`; more would not fit a line


def show(report: object, rendered: RenderableType, *, as_json: bool) -> None:
    """Print a result: the whole of it as JSON, or its rendered form."""
    if as_json:
        put_json(report)
        return
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    Console(file=sys.stdout, width=width, highlight=False, markup=False).print(_Readable(rendered), crop=False)
    sys.stdout.flush()


@dataclass(frozen=True)
class Verbatim:
    """A line that is neither folded nor cut: a command that is pasted must stay as it is."""

    line: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        yield Segment(f"{self.line}\n")


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


def faults_text(faults: Sequence[Mapping[str, str]]) -> RenderableType:
    """What is wrong with a data set, faults and warnings, each with what to do."""
    n_faults = sum(fault["level"] == "fault" for fault in faults)
    n_warnings = len(faults) - n_faults
    last = Text(f"{n_faults} fault(s)" if n_faults else "no faults", "bold red" if n_faults else "green")
    if n_warnings:
        last.append(f", {n_warnings} warning(s)", "yellow")
    if not faults:
        return last
    rows = [(one["level"], one["file"], one["kind"], one["message"], one["remedy"]) for one in faults]
    table = simple_table(("", "file", "kind", "what", "what to do"), rows, left=5)
    for column in table.columns[3:]:
        column.no_wrap = False
    return Group(table, Text(""), last)


def evaluate_text(report: Mapping[str, Any]) -> RenderableType:
    """Accuracy over what was scored, class by class and by every column asked for, under what weakens it."""
    named = [("all", report["accuracy"])]
    if report["accuracy_unseen"] is not None:
        named += [("not trained on or chosen by", report["accuracy_unseen"])]
    named += [
        (f"{column} = {value}", accuracy)
        for column, values in report["by"].items()
        for value, accuracy in values.items()
    ]
    classes = [name for name in report["accuracy"]["dice"] if len(report["accuracy"]["dice"]) <= _CLASS_COLUMNS]
    columns = ("images", "n", "Dice", *(f"Dice {name}" for name in classes), "mIoU", "median", "p5")
    rows = [(name, one["n_images"], *_accuracy(one, classes)) for name, one in named]
    groups = f"{report['accuracy']['n_groups']} group(s)"
    head = f"{report['data']}, split {report['split']}, {groups}, variant {report['variant']}, {report['engine']}"
    gate = report.get("gate")
    last = [] if gate is None else [Text(f"Dice at least {gate['min_dice']}: {'yes' if gate['passed'] else 'NO'}")]
    return Group(
        *(Text(f"WARNING: {one}", "bold red") for one in report["warnings"]),
        Text(head, "dim"),
        Text(f"split: {report['split_reason']}", "dim"),
        *_remarks(report),
        simple_table((*columns, "region recall", "small"), rows, left=1),
        Text(""),
        _class_table(report["per_class"]),
        *last,
    )


def _remarks(report: Mapping[str, Any]) -> list[Text]:
    """What differs, what was seen before, what played no part, and what could not be checked."""
    lines = [Text(f"note: {one}", "yellow") for one in report["notes"]]
    if report["seen"] is not None:
        counts = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in report["seen"].items())
        lines.append(Text(f"images by what the bundle knows of them: {counts}", "dim"))
    if report["columns_not_used"]:
        unused = ", ".join(report["columns_not_used"])
        lines.append(Text(f"columns of meta.csv not used: {unused} (--by scores by them)", "dim"))
    return lines + [Text(f"not checked: {one}", "dim") for one in report["not_checked"]]


def _class_table(per_class: Mapping[str, Mapping[str, Any]]) -> Table:
    """A row per class: pixels of the truth, and of the images that have the class."""
    unit = "mm" if any("value_mm" in one["hd95"] for one in per_class.values()) else "px"
    columns = ("class", "Dice", "IoU", "precision", "recall", f"HD95 {unit}", "region recall", "images", "pixels")
    rows = [
        (
            *(name, *(_three(one[key]) for key in ("dice", "iou", "precision", "recall"))),
            *(_distance(one["hd95"].get(f"value_{unit}")), _three(one["region_recall"])),
            *(one["n_images"], one["n_true_px"]),
        )
        for name, one in per_class.items()
    ]
    return simple_table(columns, rows, left=1)


def _accuracy(one: Mapping[str, Any], classes: Sequence[str]) -> list[str | None]:
    values = [one["dice_mean"], *(one["dice"].get(name) for name in classes), one["miou"]]
    values += [one["per_image"]["median"], one["per_image"]["p5"], one["region_recall"], one["small_region_recall"]]
    return [_three(value) for value in values]


def _distance(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"


def _three(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"
