"""A mask drawn over its frame: classes tinted and outlined, the background as it is."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]
Color = tuple[int, int, int]  # RGB

# After Okabe and Ito 2008; the report draws with them too, and its marks of errors share no hue with them.
CLASS_COLORS: tuple[Color, ...] = ((240, 228, 66), (46, 204, 150), (190, 150, 255), (235, 235, 235))
_TINT = 0.35
# Drawn in strips: a frame of 48 megapixels would take five such pictures at once.
_STRIP_PX = 512


def overlay(frame: UInt8, mask: UInt8) -> UInt8:
    """Draw a mask over a frame.

    Args:
        frame: uint8, gray (H, W) or RGB (H, W, 3); not changed.
        mask: Class ids, uint8 (H, W); 0 is not drawn.

    Returns:
        RGB, uint8 (H, W, 3), a new array.
    """
    drawn = cv2.cvtColor(frame, cv2.COLOR_GRAY2RGB) if frame.ndim == 2 else frame.copy()
    # The inner outline: pixels of a class with a pixel of a smaller id beside them, so that a line is one pixel wide.
    edge = cv2.erode(mask, np.ones((3, 3), np.uint8)) < mask
    for top in range(0, len(mask), _STRIP_PX):
        part, ids = drawn[top : top + _STRIP_PX], mask[top : top + _STRIP_PX]
        colors = _TABLE[ids]
        np.copyto(part, cv2.addWeighted(part, 1 - _TINT, colors, _TINT, 0), where=ids[..., None] > 0)
        np.copyto(part, colors, where=edge[top : top + _STRIP_PX, :, None])
    return np.asarray(drawn, np.uint8)


def _color(class_id: int) -> Color:
    if class_id <= len(CLASS_COLORS):
        return CLASS_COLORS[class_id - 1]
    # The golden ratio spreads any number of hues evenly.
    red, green, blue = colorsys.hsv_to_rgb(class_id * 0.618034 % 1, 0.75, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


_TABLE = np.array([(0, 0, 0), *(_color(class_id) for class_id in range(1, 256))], np.uint8)
