"""Named points in a plane, such as accuracy against latency, with labels that keep out of each other's way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgeseg.benchmarks.report import canvas
from edgeseg.benchmarks.report.axis import Axis, fit_axis
from edgeseg.benchmarks.report.markup import Markup, escape

_RADIUS = 5.5
# Of more points the names do not fit beside their marks: numbers stand there, and the names in the legend.
_MOST_NAMES = 6
_MARKS = ("circle", "square", "triangle", "diamond", "cross", "plus")

Box = tuple[float, float, float, float]  # left, top, right, bottom [px]


@dataclass(frozen=True)
class Point:
    """One point.

    Attributes:
        x: Where it lies; a point without a finite place is left out.
        y: Likewise.
        label: Its name, written beside it, or in the legend where there are many.
        group: Points of one group share colour and mark and stand in the legend.
        y_low: Lower end of its interval, if it has one.
        y_high: Upper end.
        emphasised: Drawn with a ring and its label bold: the one the page is about.
    """

    x: float | None
    y: float | None
    label: str
    group: str = ""
    y_low: float | None = None
    y_high: float | None = None
    emphasised: bool = False


def scatter_svg(points: Sequence[Point], x_label: str, y_label: str, log_x: bool = False) -> Markup:
    """The points as inline SVG; a sentence where none can be drawn.

    Args:
        points: What to show, in any order; a point's number is its place here, so that plots of the same rows agree.
        x_label: Title of the horizontal axis, with its unit.
        y_label: Title of the vertical axis, with its unit.
        log_x: Whether equal ratios of x are equal distances.
    """
    shown = [point for point in points if _has_place(point, log_x)]
    if not shown:
        return canvas.nothing(f"No row has both {x_label} and {y_label}.")
    x = fit_axis([float(point.x or 0) for point in shown], *canvas.x_range(), log=log_x)
    y = fit_axis([value for point in shown for value in _heights(point)], *canvas.y_range())
    groups = list(dict.fromkeys(point.group for point in shown))
    places = [(x.px(float(p.x or 0)), y.px(float(p.y or 0))) for p in shown]
    drawing = [_bar(p, at[0], y, groups.index(p.group)) for p, at in zip(shown, places, strict=True)]
    drawing += [_mark_at(p, at, groups.index(p.group)) for p, at in zip(shown, places, strict=True)]
    entries = [(mark(i), group) for i, group in enumerate(groups) if group]
    texts = [point.label for point in shown]
    if len(shown) > _MOST_NAMES:
        texts = [str(number) for number, point in enumerate(points, 1) if _has_place(point, log_x)]
        numbered = [f"{text} {point.label}" for text, point in zip(texts, shown, strict=True)]
        entries += [(mark(groups.index(p.group)), name) for p, name in zip(shown, numbered, strict=True)]
    drawing += _labels(shown, places, texts)
    legend = canvas.legend(entries)
    return canvas.plot(x, y, x_label, y_label, "".join(drawing), legend)


def mark(index: int) -> str:
    """The mark of the index-th group around (0, 0)."""
    r, kind, fill = _RADIUS, _MARKS[index % len(_MARKS)], f'fill="{canvas.color(index)}"'
    stroke = f'stroke="{canvas.color(index)}" stroke-width="2.6" fill="none"'
    shapes = {
        "circle": f'<circle r="{r}" {fill}/>',
        "square": f'<rect x="{-r + 0.5}" y="{-r + 0.5}" width="{2 * r - 1}" height="{2 * r - 1}" {fill}/>',
        "triangle": f'<path d="M0 {-r - 1}L{r + 1} {r}H{-r - 1}Z" {fill}/>',
        "diamond": f'<path d="M0 {-r - 1.5}L{r + 1.5} 0L0 {r + 1.5}L{-r - 1.5} 0Z" {fill}/>',
        "cross": f'<path d="M{-r} {-r}L{r} {r}M{-r} {r}L{r} {-r}" {stroke}/>',
        "plus": f'<path d="M{-r} 0H{r}M0 {-r}V{r}" {stroke}/>',
    }
    return shapes[kind]


def _has_place(point: Point, log_x: bool) -> bool:
    if point.x is None or point.y is None or not math.isfinite(point.x) or not math.isfinite(point.y):
        return False
    return point.x > 0 or not log_x


def _heights(point: Point) -> list[float]:
    ends = (point.y, point.y_low, point.y_high)
    return [end for end in ends if end is not None and math.isfinite(end)]


def _bar(point: Point, at: float, y: Axis, group: int) -> str:
    """The interval as a thin line."""
    heights = _heights(point)
    if len(heights) < 2:
        return ""
    top, bottom = y.px(max(heights)), y.px(min(heights))
    line = f'x1="{at:.1f}" x2="{at:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"'
    return f'<line class="interval" {line} stroke="{canvas.color(group)}"/>'


def _mark_at(point: Point, at: tuple[float, float], group: int) -> str:
    ring = f'<circle class="ring" r="{_RADIUS + 4}"/>' if point.emphasised else ""
    title = escape(f"{point.label}: {point.x:.4g}, {point.y:.4g}")
    return f'<g transform="translate({at[0]:.1f} {at[1]:.1f})"><title>{title}</title>{ring}{mark(group)}</g>'


def _labels(points: Sequence[Point], places: Sequence[tuple[float, float]], texts: Sequence[str]) -> list[str]:
    """Each label where it overlaps least, the emphasised one first."""
    marks: list[Box] = [(x - 8, y - 8, x + 8, y + 8) for x, y in places]
    labels: list[Box] = []
    order = sorted(range(len(points)), key=lambda i: not points[i].emphasised)
    parts = []
    for i in order:
        taken = [*marks[:i], *marks[i + 1 :], *labels]
        box = min(_candidates(places[i], texts[i]), key=lambda b: _cost(b, taken, places[i]))
        labels.append(box)
        bold = ' font-weight="700"' if points[i].emphasised else ""
        parts.append(_leader(box, places[i]))
        parts.append(f'<text class="label" x="{box[0]:.1f}" y="{box[3] - 4:.1f}"{bold}>{escape(texts[i])}</text>')
    return parts


def _candidates(at: tuple[float, float], label: str) -> list[Box]:
    """Places for a label: right, left, above, below, aslant, then the same further away."""
    width, height = canvas.text_width(label), canvas.FONT_PX + 3
    boxes = []
    for gap in (11, 26, 44, 66, 92):
        for dx, dy in ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -0.8), (-1, -0.8), (1, 0.8), (-1, 0.8)):
            left = at[0] + dx * gap - (width if dx < 0 else width / 2 if dx == 0 else 0)
            middle = at[1] + dy * (gap + height / 2 - 3)
            boxes.append((left, middle - height / 2, left + width, middle + height / 2))
    return boxes


def _cost(box: Box, taken: Sequence[Box], at: tuple[float, float]) -> float:
    """Overlap with what is there and with the world outside the frame, and a little for distance."""
    overlap = sum(_overlap(box, other) for other in taken)
    (left, right), (bottom, top) = canvas.x_range(), canvas.y_range()
    outside = max(0.0, left - box[0]) + max(0.0, box[2] - right) + max(0.0, top - box[1]) + max(0.0, box[3] - bottom)
    distance = math.hypot((box[0] + box[2]) / 2 - at[0], (box[1] + box[3]) / 2 - at[1])
    return overlap + 40 * outside + 0.1 * distance


def _overlap(a: Box, b: Box) -> float:
    """The area two boxes share [px2]."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _leader(box: Box, at: tuple[float, float]) -> str:
    """A thin line to a label that had to go far."""
    x = min(max(at[0], box[0]), box[2])
    y = min(max(at[1], box[1]), box[3])
    if math.hypot(x - at[0], y - at[1]) < 16:
        return ""
    return f'<line class="leader" x1="{at[0]:.1f}" y1="{at[1]:.1f}" x2="{x:.1f}" y2="{y:.1f}"/>'
