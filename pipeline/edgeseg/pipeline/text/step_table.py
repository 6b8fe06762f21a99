"""The chain's report as a table for the terminal: the tree of steps, what ships, and why something was refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgeseg.pipeline.report.fields import (
    Report,
    Row,
    count,
    dig,
    fixed,
    megabytes,
    number,
    points,
    reference_words,
    short,
)

_STYLES = {"ok": "green", "refused": "yellow", "failed": "bold red", "unsupported": "dim", "not measured": "dim"}
_TEXTS = ("step", "status")
_FIGURES = ("MB", "params", "Dice val", "Dice test", "test drop vs teacher [points]", "p50 ms", "speed-up vs reference")


def step_table(report: Report) -> RenderableType:
    """The table of a `report.json`, the reasons of its refused rows, and what ships."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in _TEXTS:
        table.add_column(column, no_wrap=True)
    for column in _FIGURES:
        table.add_column(column, justify="right", no_wrap=column != _FIGURES[4])
    for depth, row in tree(report["steps"]):
        name = f"{'  ' * (depth - 1)}└ {row['name']}" if depth else row["name"]
        table.add_row(name, Text(row["status"], _STYLES.get(row["status"], "")), *_figures(row))
    reasons = [Text(line) for row in report["steps"] for line in reasons_of(row)]
    told = [Text(""), *reasons] if reasons else []
    compared = [Text(""), Text(reference_words(report), "dim")]
    return Group(table, *told, *compared, Text(""), Text(shipped_line(report), "bold"))


def tree(rows: Sequence[Row]) -> list[tuple[int, Row]]:
    """Rows with their depth, every child below its parent, in the order they came; a lost parent counts as none."""
    names = {row["name"] for row in rows}

    def below(parent: str | None, depth: int) -> Iterator[tuple[int, Row]]:
        for row in rows:
            own = row["parent"] if row["parent"] in names else None
            if own == parent:
                yield depth, row
                yield from below(row["name"], depth + 1)

    return list(below(None, 0))


def reasons_of(row: Row) -> list[str]:
    """Why a row was refused, failed or has no latency, one sentence each."""
    lines = [f"{row['name']}: {row['status']}: {row['reason']}"] if row["reason"] else []
    lines += [f"{row['name']}: refused for {target}: {reason}" for target, reason in row["refused_for"].items()]
    if row.get("latency_reason"):
        lines.append(f"{row['name']}: no latency: {row['latency_reason']}")
    return lines


def shipped_line(report: Report) -> str:
    """What ships and why, in one sentence."""
    shipped = report["shipped"]
    what = f"{shipped['variant']} for {shipped['target']}" if shipped["step"] else "nothing"
    return f"ships: {what} ({shipped['reason']})"


def _figures(row: Row) -> list[str]:
    speed_up = number(row, "speedup_vs_reference", "ratio")
    texts = (
        megabytes(number(row, "bytes")),
        count(number(row, "params")),
        fixed(number(row, "accuracy", "val", "dice_mean")),
        fixed(number(row, "accuracy", "test", "dice_mean")),
        _drop(row),
        short(number(row, "latency_ms", "total", "p50")),
        None if speed_up is None else f"{short(speed_up)}x",
    )
    return ["-" if text is None else text for text in texts]


def _drop(row: Row) -> str | None:
    """A Dice difference on test with its interval, `+0.8 (−1.2 to +2.9)`; positive is a loss."""
    drop = dig(row, "dice_drop_vs_teacher", "test")
    mean, low, high = (points(number(drop, key)) for key in ("mean", "lo95", "hi95"))
    return f"{mean} ({low} to {high})" if mean and low and high else mean
