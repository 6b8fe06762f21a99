"""Values over time or steps, such as training curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgeseg.benchmarks.report import canvas
from edgeseg.benchmarks.report.axis import Axis, fit_axis
from edgeseg.benchmarks.report.markup import Markup


@dataclass(frozen=True)
class Series:
    """One line: its name, and values at rising places. A value that is missing or no number leaves a gap."""

    label: str
    xs: Sequence[float]
    ys: Sequence[float | None]


def line_svg(series: Sequence[Series], x_label: str = "", y_label: str = "", log_y: bool = False) -> Markup:
    """The lines as inline SVG with a legend; a sentence where no value can be drawn.

    Args:
        series: One or more lines.
        x_label: Title of the horizontal axis, with its unit.
        y_label: Title of the vertical axis, with its unit.
        log_y: Whether equal ratios of y are equal distances; values not above zero then leave a gap.

    Raises:
        ValueError: A series has not as many places as values.
    """
    runs = [_runs(one, log_y) for one in series]
    points = [point for pieces in runs for piece in pieces for point in piece]
    if not points:
        return canvas.nothing(f"There are no values of {y_label or 'this'} to draw.")
    x = fit_axis([at for at, _ in points], *canvas.x_range())
    y = fit_axis([value for _, value in points], *canvas.y_range(), log=log_y)
    drawing = "".join(_path(piece, x, y, i) for i, pieces in enumerate(runs) for piece in pieces)
    legend = canvas.legend([(_sample(i), one.label) for i, one in enumerate(series) if one.label])
    return canvas.plot(x, y, x_label, y_label, drawing, legend)


def _runs(series: Series, log_y: bool) -> list[list[tuple[float, float]]]:
    """Stretches without a gap."""
    if len(series.xs) != len(series.ys):
        raise ValueError(f"series {series.label!r} has {len(series.xs)} places for {len(series.ys)} values")
    pieces: list[list[tuple[float, float]]] = [[]]
    for at, value in zip(series.xs, series.ys, strict=True):
        if value is None or not math.isfinite(value) or (log_y and value <= 0):
            pieces.append([])
        else:
            pieces[-1].append((float(at), float(value)))
    return [piece for piece in pieces if piece]


def _path(piece: Sequence[tuple[float, float]], x: Axis, y: Axis, index: int) -> str:
    if len(piece) == 1:  # a line of one point would not be seen
        at, value = piece[0]
        return f'<circle cx="{x.px(at):.1f}" cy="{y.px(value):.1f}" r="2.5" fill="{canvas.color(index)}"/>'
    steps = "L".join(f"{x.px(at):.1f} {y.px(value):.1f}" for at, value in piece)
    return f'<path class="line" d="M{steps}" {_stroke(index)}/>'


def _sample(index: int) -> str:
    return f'<line x1="-10" x2="12" y1="0" y2="0" class="line" {_stroke(index)}/>'


def _stroke(index: int) -> str:
    dash = canvas.DASHES[index % len(canvas.DASHES)]
    return f'stroke="{canvas.color(index)}"' + (f' stroke-dasharray="{dash}"' if dash else "")
