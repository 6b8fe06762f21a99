"""The part of a frame that can hold foreground: the rest of the mask is known without enlarging a single score.

Enlarging is linear, so where one class leads in all cells around a pixel it leads at the pixel. Pixels whose cells are
all background are background, and most pixels of most frames are.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np

from edgeseg.runtime.frame.bounds import bounding_box
from edgeseg.runtime.frame.padding import round_up

Span = tuple[int, int]  # from, to

# Cells around the foreground that its scores reach into when enlarged.
_REACH = 1


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


def foreground_window(foreground: np.ndarray, whole: Window) -> Window | None:
    """The window around all foreground.

    Args:
        foreground: uint8 (h, w), the cells of `whole`; not 0 where the background does not lead.
        whole: The frame's window.

    Returns:
        None without foreground; `whole` where cells do not become pixels in one step.
    """
    x, y, columns, rows = bounding_box(foreground)
    if rows == 0:
        return None
    if whole.content != whole.shape:
        return whole
    vertical = _span(y, y + rows, foreground.shape[0], whole.enlarged[0])
    horizontal = _span(x, x + columns, foreground.shape[1], whole.enlarged[1])
    cells, enlarged = zip(vertical, horizontal, strict=True)
    pixels = [slice(first, min(last, side)) for (first, last), side in zip(enlarged, whole.shape, strict=True)]
    shape = (pixels[0].stop - pixels[0].start, pixels[1].stop - pixels[1].start)
    sizes = (enlarged[0][1] - enlarged[0][0], enlarged[1][1] - enlarged[1][0])
    return Window((slice(*cells[0]), slice(*cells[1])), (pixels[0], pixels[1]), sizes, shape, shape)


def _span(first: int, last: int, n_cells: int, n_px: int) -> tuple[Span, Span]:
    """Cells with their reach, and their pixels: edges lie where a cell's edge is a pixel's edge too."""
    share = gcd(n_cells, n_px)
    step, step_px = n_cells // share, n_px // share
    first = max(first - _REACH, 0) // step * step
    last = min(round_up(last + _REACH, step), n_cells)
    return (first, last), (first // step * step_px, last // step * step_px)
