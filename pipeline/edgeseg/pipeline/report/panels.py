"""Test images side by side: frame, truth, teacher and what ships, with the errors marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.benchmarks.report import Markup, Picture, escape, join, paragraph, pictures
from edgeseg.pipeline.report.crop import Window, choose_window
from edgeseg.pipeline.report.drawing import (
    ERROR_MARKS,
    FALSE,
    IGNORED_COLOR,
    MISSED,
    Color,
    ErrorMark,
    class_color,
    draw_errors,
    draw_frame,
    draw_mask,
)
from edgeseg.pipeline.report.fields import fixed
from edgeseg.pipeline.report.image_rank import Faults
from edgeseg.runtime.data.ignored import IGNORED, as_background, leave_out
from edgeseg.runtime.errors import DataError

UInt8 = npt.NDArray[np.uint8]

# All pictures together, before base64 adds a third: the page stays below 3 MB.
_MOST_BYTES = 1_900_000
_RULE = (
    "those with most missed regions, of these those with most false ones, then by wrong pixels. A region is missed if "
    "no predicted one of its class overlaps it with an IoU of 0.1; predicted ones beyond those found are false."
)
_QUALITIES = (90, 80, 68, 55, 40, 25)


@dataclass(frozen=True)
class Panel:
    """One test image and what was made of it.

    Attributes:
        stem: Name of the image.
        frame: uint8 (H, W) gray or (H, W, 3) RGB.
        truth: Class ids, uint8 (H, W), and `IGNORED` where pixels do not count.
        teacher: The teacher's mask, likewise.
        shipped: The shipped variant's mask, likewise.
        dice: Dice of the shipped mask on this image; None where the truth has no object.
        faults: What is wrong with the shipped mask.
        worst: Whether it is among the images with the worst faults.
    """

    stem: str
    frame: UInt8
    truth: UInt8
    teacher: UInt8
    shipped: UInt8
    dice: float | None
    faults: Faults
    worst: bool

    def __post_init__(self) -> None:
        for name in ("frame", "truth", "teacher", "shipped"):
            found = getattr(self, name)
            if found.dtype != np.uint8 or found.shape[:2] != self.frame.shape[:2] or found.ndim not in (2, 3):
                raise DataError(
                    f"{self.stem}: {name} is {found.dtype} {found.shape}, the frame {self.frame.shape}; a report needs "
                    "uint8 masks of the frame's own size"
                )


def panels_section(panels: Sequence[Panel], classes: Sequence[str], last: str = "shipped") -> Markup:
    """All panels, the worst first, with what the colours mean.

    Args:
        panels: At least one.
        classes: Names of the foreground classes by id, from 1.
        last: What the fourth picture of each row is called.
    """
    worst = sorted((panel for panel in panels if panel.worst), key=lambda panel: panel.faults, reverse=True)
    ordered = [*worst, *(panel for panel in panels if not panel.worst)]
    windows = [_window(panel) for panel in ordered]
    drawn = [_draw(panel, window) for panel, window in zip(ordered, windows, strict=True)]
    encoded = _encode_all(drawn)
    multiclass = any(
        as_background(mask).max(initial=0) > 1
        for panel in panels
        for mask in (panel.truth, panel.teacher, panel.shipped)
    )
    words = f"{len(ordered)} test images."
    if worst:
        words = f"{len(ordered)} test images, the {len(worst)} worst first: {_RULE}"
    rows = [_row(panel, window, data, last) for panel, window, data in zip(ordered, windows, encoded, strict=True)]
    ignored = any(panel.truth.max(initial=0) == IGNORED for panel in panels)
    return join([paragraph(words), _legend(classes, multiclass, ignored), *rows])


def _window(panel: Panel) -> Window:
    masks = [as_background(leave_out(mask, panel.truth)) for mask in (panel.truth, panel.teacher, panel.shipped)]
    return choose_window(np.any(masks, axis=0), _wrong(panel))


def _wrong(panel: Panel) -> npt.NDArray[np.bool_]:
    """Where the shipped mask is wrong, of the pixels that count, bool (H, W)."""
    return leave_out(panel.shipped, panel.truth) != panel.truth


def _draw(panel: Panel, window: Window) -> list[UInt8]:
    return [
        draw_frame(panel.frame, window),
        draw_mask(panel.frame, panel.truth, window),
        draw_errors(panel.frame, panel.teacher, panel.truth, window),
        draw_errors(panel.frame, panel.shipped, panel.truth, window),
    ]


def _encode_all(drawn: Sequence[Sequence[UInt8]]) -> list[list[bytes]]:
    """All pictures as JPEG, of the best quality with which they fit together."""
    encoded: list[list[bytes]] = []
    for quality in _QUALITIES:
        encoded = [[_jpeg(picture, quality) for picture in row] for row in drawn]
        if sum(len(data) for row in encoded for data in row) <= _MOST_BYTES:
            break
    return encoded


def _jpeg(picture: UInt8, quality: int) -> bytes:
    # Without 4:4:4 the thin coloured outlines bleed.
    sampling = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1, *sampling]
    return cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)[1].tobytes()


def _row(panel: Panel, window: Window, data: Sequence[bytes], last: str) -> Markup:
    names = ("frame", "truth", "teacher", last)
    shown = [Picture(one, name) for one, name in zip(data, names, strict=True)]
    title = f"{panel.stem}, one of the worst" if panel.worst else panel.stem
    return pictures(title, shown, _note(panel, window))


def _note(panel: Panel, window: Window) -> str:
    height, width = panel.truth.shape
    wrong = _wrong(panel)
    missed, false = (_count(n, kind) for n, kind in ((panel.faults.missed, "missed"), (panel.faults.false, "false")))
    words = f"In the last mask {missed}, {false}, {panel.faults.wrong_px} wrong pixels"
    words += f", Dice {fixed(panel.dice, 2)}." if panel.dice is not None else "; nothing is there, so it has no Dice."
    if (window.width, window.height) == (width, height):
        return words
    words += f" Shown: {window.width} × {window.height} px of {width} × {height} px, from ({window.x}, {window.y})."
    inside, everywhere = int(np.count_nonzero(window.cut(wrong.view(np.uint8)))), int(np.count_nonzero(wrong))
    return words if inside == everywhere else f"{words} {inside} of its {everywhere} wrong pixels are in this part."


def _count(n: int, kind: str) -> str:
    return f"{n or 'no'} {kind} region{'' if n == 1 else 's'}"


def _legend(classes: Sequence[str], multiclass: bool, ignored: bool) -> Markup:
    """What the colours and lines mean."""
    marks = ERROR_MARKS if multiclass else (FALSE, MISSED)
    entries = [(_swatch(class_color(i)), name) for i, name in enumerate(classes, start=1)]
    entries += [(_swatch(mark.color, mark), mark.name) for mark in marks]
    entries += [(_swatch(IGNORED_COLOR), "gray, hatched: ignored, counts nowhere")] if ignored else []
    shown = "".join(
        f'<span style="display:inline-block;margin:0 1.2em .3em 0;white-space:nowrap">{swatch} {escape(name)}</span>'
        for swatch, name in entries
    )
    return Markup(f"<p>{shown}</p>")


def _swatch(color: Color, mark: ErrorMark | None = None) -> str:
    """A filled square for a class, an outlined one for a kind of error."""
    paint = f"#{color[0]:02x}{color[1]:02x}{color[2]:02x}"
    dash = f' stroke-dasharray="{mark.dash_px / 3:.1f} {mark.dash_px / 4:.1f}"' if mark and mark.dash_px else ""
    stroke = f'stroke="{paint}" stroke-width="2.5"{dash}' if mark else f'stroke="{paint}"'
    fill = f'fill="{paint}" fill-opacity="{0.25 if mark else 0.6}"'
    # On dark, as on the pictures: yellow would not be seen on paper white.
    return (
        '<svg width="24" height="18" viewBox="0 0 24 18" style="vertical-align:-4px" aria-hidden="true">'
        f'<rect width="24" height="18" fill="#333"/><rect x="4" y="4" width="16" height="10" {fill} {stroke}/></svg>'
    )
