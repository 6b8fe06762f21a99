"""Masks drawn over a frame: classes filled, errors outlined for colour-blind eyes and grey printers alike.

A part of the frame is drawn at twice the size it is shown in and then shrunk, which smooths every line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.pipeline.report.crop import Window
from edgeseg.runtime.data.ignored import IGNORED, as_background, leave_out
from edgeseg.runtime.predict.overlay import CLASS_COLORS

UInt8 = npt.NDArray[np.uint8]
Color = tuple[int, int, int]  # RGB

SHOWN_PX = 320  # longest side of a picture
_DRAWN_PX = 2 * SHOWN_PX


@dataclass(frozen=True)
class ErrorMark:
    """How one kind of error is marked: its outline, whole or broken into dashes and gaps [px at drawing size]."""

    name: str
    color: Color
    dash_px: int = 0


FALSE = ErrorMark("false: a class where there is none", (255, 98, 20))
MISSED = ErrorMark("missed: nothing where there is a class", (60, 180, 255), dash_px=12)
WRONG = ErrorMark("wrong class", (255, 90, 220), dash_px=5)
ERROR_MARKS = (FALSE, MISSED, WRONG)

IGNORED_COLOR: Color = (128, 128, 128)  # of the hatching, which no class and no error has
_HATCH_PX = 8  # from line to line, at drawing size


def class_color(class_id: int) -> Color:
    """Colour of a foreground class; they repeat after four."""
    return CLASS_COLORS[(class_id - 1) % len(CLASS_COLORS)]


def draw_frame(frame: UInt8, window: Window) -> UInt8:
    """The frame alone, RGB at the size it is shown; where only a part is, a small map says which."""
    picture = _shrunk(_canvas(frame, window))
    if (window.height, window.width) != frame.shape[:2]:
        _draw_map(picture, frame, window)
    return picture


def draw_mask(frame: UInt8, mask: UInt8, window: Window) -> UInt8:
    """The frame with a mask's classes filled and outlined, ignored pixels hatched."""
    canvas = _canvas(frame, window)
    part = window.cut(mask)
    _hatch(canvas, part == IGNORED)
    filled = _fill_classes(canvas, as_background(part))
    _outline(canvas, [(area, ErrorMark("", class_color(class_id))) for class_id, area in filled.items()])
    return _shrunk(canvas)


def draw_errors(frame: UInt8, mask: UInt8, truth: UInt8, window: Window) -> UInt8:
    """The frame with a predicted mask filled and its errors outlined; what the truth ignores is hatched."""
    canvas = _canvas(frame, window)
    _hatch(canvas, window.cut(truth) == IGNORED)
    predicted, true = (as_background(window.cut(one)) for one in (leave_out(mask, truth), truth))
    _fill_classes(canvas, predicted)
    kinds = {
        MISSED: (predicted == 0) & (true > 0),
        WRONG: (predicted > 0) & (true > 0) & (predicted != true),
        FALSE: (predicted > 0) & (true == 0),
    }
    areas = [(_fitted(where, canvas.shape), mark) for mark, where in kinds.items()]
    for area, mark in areas:
        _blend(canvas, area, mark.color, 0.28)
    _outline(canvas, areas)
    return _shrunk(canvas)


def _canvas(frame: UInt8, window: Window) -> UInt8:
    """The part to show, RGB, longest side `_DRAWN_PX`."""
    part = np.ascontiguousarray(window.cut(frame))
    factor = _DRAWN_PX / max(window.width, window.height)
    size = (max(2, round(window.width * factor)), max(2, round(window.height * factor)))
    kind = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    part = np.asarray(cv2.resize(part, size, interpolation=kind), np.uint8)
    return np.asarray(cv2.cvtColor(part, cv2.COLOR_GRAY2RGB) if part.ndim == 2 else part, np.uint8)


def _shrunk(canvas: UInt8) -> UInt8:
    size = (canvas.shape[1] // 2, canvas.shape[0] // 2)
    return np.asarray(cv2.resize(canvas, size, interpolation=cv2.INTER_AREA), np.uint8)


def _fitted(where: npt.NDArray[np.bool_], shape: tuple[int, ...]) -> UInt8:
    """A yes-or-no plane at the size of the drawing, uint8 0 or 1, with smooth borders."""
    plane = cv2.resize(where.astype(np.float32), (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return (plane >= 0.5).astype(np.uint8)


def _fill_classes(canvas: UInt8, mask: UInt8) -> dict[int, UInt8]:
    """Fill every class of a mask, and hand back where."""
    filled = {int(found): _fitted(mask == found, canvas.shape) for found in np.unique(mask) if found}
    for class_id, area in filled.items():
        _blend(canvas, area, class_color(class_id), 0.34)
    return filled


def _hatch(canvas: UInt8, where: npt.NDArray[np.bool_]) -> None:
    """Grays what is ignored, with slanted lines in it."""
    if not where.any():
        return
    area = _fitted(where, canvas.shape)
    rows, columns = np.indices(area.shape)
    lines = ((rows + columns) % _HATCH_PX < _HATCH_PX // 4).astype(np.uint8)
    _blend(canvas, area, IGNORED_COLOR, 0.5)
    _blend(canvas, area & lines, (235, 235, 235), 0.5)


def _blend(canvas: UInt8, area: UInt8, color: Color, share: float) -> None:
    inside = area.astype(bool)
    canvas[inside] = ((1 - share) * canvas[inside] + share * np.array(color)).astype(np.uint8)


def _outline(canvas: UInt8, areas: Sequence[tuple[UInt8, ErrorMark]]) -> None:
    lines = [(_line(area, mark), mark) for area, mark in areas]
    for line, _ in lines:  # a dark rim first, so that light lines are seen on bright metal too
        _blend(canvas, np.asarray(cv2.dilate(line, np.ones((7, 7), np.uint8)), np.uint8), (0, 0, 0), 0.4)
    for line, mark in lines:
        canvas[cv2.dilate(line, np.ones((3, 3), np.uint8)).astype(bool)] = mark.color


def _line(area: UInt8, mark: ErrorMark) -> UInt8:
    """The border of an area, one pixel wide, uint8 0 or 1."""
    contours, _ = cv2.findContours(area, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    line = np.zeros_like(area)
    for contour in contours:
        place = np.arange(len(contour))
        # Every second stretch is a gap; what is shorter than one dash stays whole.
        kept = contour if not mark.dash_px else contour[(place // mark.dash_px) % 2 == 0]
        line[kept[:, 0, 1], kept[:, 0, 0]] = 1
    return line


def _draw_map(picture: UInt8, frame: UInt8, window: Window) -> None:
    """The whole frame in a corner of the picture, with the part that is shown marked."""
    height, width = picture.shape[:2]
    factor = 0.36 * min(width / frame.shape[1], height / frame.shape[0])
    size = (max(8, round(frame.shape[1] * factor)), max(8, round(frame.shape[0] * factor)))
    small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    small = cv2.cvtColor(small, cv2.COLOR_GRAY2RGB) if small.ndim == 2 else small
    corners = [(window.x, window.y), (window.x + window.width, window.y + window.height)]
    (left, top), (right, bottom) = [(round(x * factor), round(y * factor)) for x, y in corners]
    cv2.rectangle(small, (left, top), (min(right, size[0] - 1), min(bottom, size[1] - 1)), (255, 255, 255), 2)
    cv2.rectangle(small, (left, top), (min(right, size[0] - 1), min(bottom, size[1] - 1)), (0, 0, 0), 1)
    framed = cv2.copyMakeBorder(small, 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=(255, 255, 255))
    picture[-framed.shape[0] :, : framed.shape[1]] = framed[:height, :width]
