"""Which part of a frame a report shows: all of it, or the part where something is to be seen."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]

# Frames up to here are shown whole: on 320 px of a page a defect of 8 px then still is 4 px wide.
WHOLE_PX = 640
_ROOM = 1.6  # side of the part shown over that of what it shows
_SMALLEST_PX = 128
_BUSIEST_PX = 384


@dataclass(frozen=True)
class Window:
    """A part of a frame [px]."""

    x: int
    y: int
    width: int
    height: int

    def cut(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """That part of an image, a view."""
        return image[self.y : self.y + self.height, self.x : self.x + self.width]


def choose_window(foreground: Bools, errors: Bools) -> Window:
    """The part to show.

    Args:
        foreground: Where truth or a prediction has an object, bool (H, W).
        errors: Where the shipped mask is wrong, bool (H, W).

    Returns:
        The whole frame if it is small or empty; else all objects with some room around them; where they lie too far
        apart for that, the part with most errors, or with most objects if there are no errors.
    """
    height, width = foreground.shape
    if max(height, width) <= WHOLE_PX or not foreground.any():
        return Window(0, 0, width, height)
    rows, columns = (np.flatnonzero(foreground.any(axis=axis)) for axis in (1, 0))
    extent = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    side = max(_SMALLEST_PX, round(_ROOM * extent))
    if side <= WHOLE_PX:
        return _around((columns[0] + columns[-1]) // 2, (rows[0] + rows[-1]) // 2, side, foreground.shape)
    return _busiest(errors if errors.any() else foreground)


def _around(x: int, y: int, side: int, shape: tuple[int, ...]) -> Window:
    """A square around a place, moved into the frame; narrower only where the frame is."""
    height, width = min(side, shape[0]), min(side, shape[1])
    left = min(max(int(x) - width // 2, 0), shape[1] - width)
    top = min(max(int(y) - height // 2, 0), shape[0] - height)
    return Window(left, top, width, height)


def _busiest(marked: Bools) -> Window:
    side = (min(_BUSIEST_PX, marked.shape[1]), min(_BUSIEST_PX, marked.shape[0]))
    density = cv2.boxFilter(marked.astype(np.float32), -1, side, normalize=False, borderType=cv2.BORDER_CONSTANT)
    y, x = np.unravel_index(int(density.argmax()), marked.shape)
    return _around(int(x), int(y), _BUSIEST_PX, marked.shape)
