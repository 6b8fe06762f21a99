"""The plots of a report: accuracy against what it costs, and how the networks learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgeseg.benchmarks.report import Markup, Point, Series, figure, line_svg, scatter_svg, side_by_side
from edgeseg.pipeline.report.fields import (
    Report,
    Row,
    networks_of,
    number,
    shipped_of,
    shown_split,
    teacher_of,
)


def accuracy_plots(report: Report) -> Markup:
    """Dice against the whole pipeline's median latency, and against the file's size."""
    split = shown_split(report)
    y_label = f"mean Dice on {split}"
    latency = scatter_svg(
        _points(report, split, _latency_ms), "latency p50, pre + infer + post [ms]", y_label, log_x=True
    )
    size = scatter_svg(_points(report, split, _size_mb), "file size [MB]", y_label, log_x=True)
    intervals = "Lines: 95 % interval of the drop from the teacher."
    left_out = _left_out(report, split)
    return side_by_side(
        figure(latency, f"Up and to the left is better. {intervals} {left_out}".strip()),
        figure(size, "The ring marks what ships. Both horizontal axes are logarithmic."),
    )


def training_plots(report: Report) -> Markup:
    """Loss on train and Dice on val over the epochs, a line per trained network."""
    named = [(step, epochs) for step, epochs in report["histories"].items() if epochs]
    loss = [_series(step, epochs, "train_loss") for step, epochs in named]
    dice = [_series(step, epochs, "val_dice") for step, epochs in named]
    return side_by_side(
        figure(
            line_svg(dice, "epoch", "mean Dice on val"), "Dice on val while training, from torch; higher is better."
        ),
        figure(
            line_svg(loss, "epoch", "loss on train", log_y=True),
            "Loss on train, logarithmic. Distilling adds a term to it: the heights of lines are not compared.",
        ),
    )


def _points(report: Report, split: str, cost: Any) -> list[Point]:
    teacher_dice = number(teacher_of(report), "accuracy", split, "dice_mean")
    shipped = shipped_of(report)
    points = []
    for row in networks_of(report):
        low, high = (number(row, "dice_drop_vs_teacher", split, key) for key in ("lo95", "hi95"))
        known = teacher_dice is not None and low is not None and high is not None
        points.append(
            Point(
                x=cost(row),
                y=number(row, "accuracy", split, "dice_mean"),
                label=row["name"],
                group=_group(row),
                y_low=teacher_dice - high if known else None,  # type: ignore[operator]
                y_high=teacher_dice - low if known else None,  # type: ignore[operator]
                emphasised=row is shipped,
            )
        )
    return points


def _latency_ms(row: Row) -> float | None:
    return number(row, "latency_ms", "total", "p50")


def _size_mb(row: Row) -> float | None:
    size = number(row, "bytes")
    return None if size is None else size / 1e6


def _group(row: Row) -> str:
    """What a mark's shape and colour stand for."""
    engine = str(row.get("engine") or "").split(" ")[0]
    return " ".join(part for part in (engine, str(row.get("precision") or "")) if part) or "engine not given"


def _left_out(report: Report, split: str) -> str:
    """Rows that have no place in the plots, by name."""
    rows = networks_of(report)
    names = [
        row["name"] for row in rows if number(row, "accuracy", split, "dice_mean") is None or _latency_ms(row) is None
    ]
    return f"Not drawn, because Dice or latency is missing: {', '.join(names)}." if names else ""


def _series(step: str, epochs: Sequence[Any], key: str) -> Series:
    """A line through the epochs that have a value: Dice is not taken after each of them."""
    known = [(number(epoch, "epoch"), number(epoch, key)) for epoch in epochs]
    places = [(at, value) for at, value in known if at is not None and value is not None]
    return Series(step, [at for at, _ in places], [value for _, value in places])
