"""The part of a frame that can hold foreground: the rest of the mask is known without enlarging a single score.

Enlarging is linear, so where one class leads in all cells around a pixel it leads at the pixel. Pixels whose cells are
all background are background, and most pixels of most frames are.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache
from math import gcd

import cv2
import numpy as np

from edgeseg.runtime.frame.bounds import bounding_box
from edgeseg.runtime.frame.padding import round_up

Span = tuple[int, int]  # from, to
Box = tuple[Span, Span]  # rows, columns

# Cells around the foreground that its scores reach into when enlarged.
REACH = 1
# Below, looking for several windows takes about as long as one window of them all.
_WORTH_SPLITTING_PX, _WORTH_SPLITTING_CELL_PX = 1 << 18, 8
_MOST_WINDOWS = 8


@dataclass(frozen=True)
class Window:
    """A rectangle of cells and the pixels of the frame it becomes.

    Attributes:
        cells: Slices of rows and columns of the score planes.
        pixels: Slices of rows and columns of the frame.
        enlarged: (height, width) of the cells at the scale of the network's input [px].
        content: (height, width) of that which is not padding [px].
        shape: (height, width) in the frame [px].
    """

    cells: tuple[slice, slice]
    pixels: tuple[slice, slice]
    enlarged: tuple[int, int]
    content: tuple[int, int]
    shape: tuple[int, int]


@lru_cache(maxsize=64)
def whole_window(content_shape: tuple[int, int], frame_shape: tuple[int, int], stride_px: int) -> Window:
    """The window of a whole frame.

    Args:
        content_shape: (height, width) of what the network's input holds before padding [px].
        frame_shape: (height, width) of the frame [px].
        stride_px: Input pixels per cell.
    """
    rows, columns = (-(-side // stride_px) for side in content_shape)
    height, width = frame_shape
    exact = all(side % stride_px == 0 for side in content_shape)
    return Window(
        cells=(slice(0, rows), slice(0, columns)),
        pixels=(slice(0, height), slice(0, width)),
        # Without padding cells become the frame's pixels in one step.
        enlarged=frame_shape if exact else (rows * stride_px, columns * stride_px),
        content=frame_shape if exact else content_shape,
        shape=frame_shape,
    )


def foreground_windows(foreground: np.ndarray, whole: Window) -> list[Window]:
    """Windows that hold all foreground, none sharing a cell with another: one, or several where that saves much.

    Args:
        foreground: uint8 (h, w), the cells of `whole`; not 0 where the background does not lead.
        whole: The frame's window.

    Returns:
        None of them without foreground; `whole` alone where cells do not become pixels in one step.
    """
    x, y, columns, rows = bounding_box(foreground)
    if rows == 0:
        return []
    if whole.content != whole.shape:
        return [whole]
    one = _window((y, y + rows), (x, x + columns), whole)
    if _n_px(one) < max(_WORTH_SPLITTING_PX, _WORTH_SPLITTING_CELL_PX * foreground.size):
        return [one]
    _, _, stats, _ = cv2.connectedComponentsWithStats(foreground, connectivity=8, ltype=cv2.CV_32S)
    if not 2 <= len(stats) - 1 <= _MOST_WINDOWS:
        return [one]
    windows = _apart([((y, y + h), (x, x + w)) for x, y, w, h, _ in stats[1:].tolist()], whole)
    return windows if sum(map(_n_px, windows)) < _n_px(one) * 3 // 4 else [one]


def _window(rows: Span, columns: Span, whole: Window) -> Window:
    """The window around the foreground in these rows and columns of cells."""
    vertical = _span(*rows, whole.cells[0].stop, whole.enlarged[0])
    horizontal = _span(*columns, whole.cells[1].stop, whole.enlarged[1])
    cells, enlarged = zip(vertical, horizontal, strict=True)
    pixels = [slice(first, min(last, side)) for (first, last), side in zip(enlarged, whole.shape, strict=True)]
    shape = (pixels[0].stop - pixels[0].start, pixels[1].stop - pixels[1].start)
    sizes = (enlarged[0][1] - enlarged[0][0], enlarged[1][1] - enlarged[1][0])
    return Window((slice(*cells[0]), slice(*cells[1])), (pixels[0], pixels[1]), sizes, shape, shape)


def _apart(boxes: list[Box], whole: Window) -> list[Window]:
    """A window for each box, of those that would share cells one for all: no foreground but its own is at an edge."""
    windows = [_window(*box, whole) for box in boxes]
    for (i, one), (j, other) in itertools.combinations(enumerate(windows), 2):
        if all(a.start < b.stop and b.start < a.stop for a, b in zip(one.cells, other.cells, strict=True)):
            joined = [(min(a[0], b[0]), max(a[1], b[1])) for a, b in zip(boxes[i], boxes[j], strict=True)]
            rest = [box for index, box in enumerate(boxes) if index not in (i, j)]
            return _apart([*rest, (joined[0], joined[1])], whole)
    return windows


def _n_px(window: Window) -> int:
    return window.shape[0] * window.shape[1]


def _span(first: int, last: int, n_cells: int, n_px: int) -> tuple[Span, Span]:
    """Cells with their reach, and their pixels: edges lie where a cell's edge is a pixel's edge too."""
    share = gcd(n_cells, n_px)
    step, step_px = n_cells // share, n_px // share
    first = max(first - REACH, 0) // step * step
    last = min(round_up(last + REACH, step), n_cells)
    return (first, last), (first // step * step_px, last // step * step_px)
