"""What all plots share: size, frame, grid, axis titles, colours and marks.

A plot is drawn for 480 px of width, so that its type stays readable when a phone shrinks it to 360.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgeseg.benchmarks.report.axis import Axis, tick_text
from edgeseg.benchmarks.report.markup import Markup, escape

WIDTH = 480
HEIGHT = 330
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 14, 52
FONT_PX = 13

# Dark enough on white for text (4.5 : 1), told apart by people with any colour vision (after Okabe and Ito 2008);
# every series differs in mark or dashes as well, for grey printers.
COLORS = ("#0b5fa5", "#b3420b", "#0a7350", "#8a3c8f", "#7a5d00", "#4a4f57")
DASHES = ("", "7 4", "2 3", "9 3 2 3", "5 2", "1 4")


@dataclass(frozen=True)
class Legend:
    """What stands under a plot's frame: SVG drawn from y = `HEIGHT` on, and the height it needs [px]."""

    svg: str
    height_px: int


def color(index: int) -> str:
    """The colour of the index-th group; they repeat after six."""
    return COLORS[index % len(COLORS)]


def plot(x: Axis, y: Axis, x_label: str, y_label: str, drawing: str, legend: Legend) -> Markup:
    """A whole plot.

    Args:
        x: The horizontal axis.
        y: The vertical axis.
        x_label: Its title with the unit.
        y_label: Likewise.
        drawing: SVG of what is shown.
        legend: What stands under the frame.
    """
    name = escape(f"{y_label} against {x_label}")
    middle_y = (TOP + HEIGHT - BOTTOM) / 2
    return Markup(
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT + legend.height_px}" role="img" aria-label="{name}" '
        f'font-size="{FONT_PX}"><title>{name}</title>{_grid(x, y)}'
        f'<text class="axis" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">'
        f"{escape(x_label)}</text>"
        f'<text class="axis" transform="translate(15 {middle_y}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_label)}</text>{drawing}{legend.svg}</svg>"
    )


def x_range() -> tuple[float, float]:
    """Pixels of the frame from left to right."""
    return LEFT, WIDTH - RIGHT


def y_range() -> tuple[float, float]:
    """Pixels of the frame from bottom to top."""
    return HEIGHT - BOTTOM, TOP


def legend(entries: list[tuple[str, str]]) -> Legend:
    """Marks with their names, in as many lines as they need.

    Args:
        entries: SVG of a mark drawn around (0, 0), and its name.
    """
    x, line, parts = float(LEFT), 0, []
    for mark, label in entries:
        width = 26 + 1.08 * text_width(label) + 14
        if x + width > WIDTH and x > LEFT:
            x, line = float(LEFT), line + 1
        at = f"translate({x + 10:.1f} {HEIGHT + 8 + 20 * line})"
        parts.append(f'<g transform="{at}">{mark}<text x="16" y="4">{escape(label)}</text></g>')
        x += width
    return Legend("".join(parts), 20 * (line + 1) + 6 if entries else 0)


def text_width(text: str) -> float:
    """About how wide a text is drawn [px]: enough to keep labels apart."""
    return 0.56 * FONT_PX * len(text)


def nothing(why: str) -> Markup:
    """What stands in the place of a plot without a single point."""
    return Markup(f'<p class="missing">{escape(why)}</p>')


def _grid(x: Axis, y: Axis) -> str:
    (left, right), (bottom, top) = x_range(), y_range()
    parts = []
    for tick in x.ticks():
        at = x.px(tick)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{bottom}" y2="{top}"/>')
        parts.append(f'<text class="tick" x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">{tick_text(tick)}</text>')
    for tick in y.ticks():
        at = y.px(tick)
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text class="tick" x="{left - 7}" y="{at + 4:.1f}" text-anchor="end">{tick_text(tick)}</text>')
    parts.append(f'<path class="frame" d="M{left} {top}V{bottom}H{right}"/>')
    return "".join(parts)
