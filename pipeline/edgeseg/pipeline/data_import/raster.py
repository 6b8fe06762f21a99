"""Outlines as pixels: a pixel belongs to an object if its centre does.

Image coordinates are continuous, as all these tools draw them: pixel (0, 0) covers [0, 1) x [0, 1), its centre is
(0.5, 0.5). A square from 10 to 20 is therefore 100 pixels. `cv2.fillPoly` takes integer coordinates for centres and
adds the outline, which would make it 121.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.pipeline.data_import.source import Size, UInt8

Points = npt.NDArray[np.float64]  # (N, 2), x and y [px]
_CIRCLE_POINTS = 720  # of a circle: the chord's error stays below a hundredth of a pixel up to a radius of 1000


def polygon(points: Points, size_px: Size) -> UInt8:
    """Fill an outline by the even-odd rule.

    Args:
        points: Corners, shape (N, 2); the last is joined to the first.
        size_px: (H, W). What lies outside is cut off.

    Returns:
        uint8, 0 or 1, shape (H, W).
    """
    height, width = size_px
    x0, y0 = points[:, 0], points[:, 1]
    x1, y1 = np.roll(x0, -1), np.roll(y0, -1)
    down = y0 <= y1
    top, low = np.where(down, y0, y1), np.where(down, y1, y0)
    # Rows whose centre an edge crosses: first <= row < last, each corner counted with one of its two edges.
    first = np.clip(np.ceil(top - 0.5), 0, height).astype(np.int64)
    last = np.clip(np.ceil(low - 0.5), 0, height).astype(np.int64)
    rows_of = last - first
    edge = np.repeat(np.arange(len(points)), rows_of)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(rows_of) - rows_of, rows_of) + first[edge]
    x = x0[edge] + (row + 0.5 - y0[edge]) * (x1[edge] - x0[edge]) / (y1[edge] - y0[edge])
    column = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
    found = np.zeros(size_px, np.uint8)
    if not len(edge):
        return found
    # Every crossing changes inside to outside for all pixels right of it, within the rows and columns of the outline.
    above, left, right = int(row.min()), int(column.min()), int(column.max())
    changes = np.zeros((int(row.max()) - above + 1, right - left + 1), np.uint8)
    np.bitwise_xor.at(changes, (row - above, column - left), 1)
    inside = np.bitwise_xor.accumulate(changes, axis=1)[:, : right - left]
    found[above : above + len(changes), left:right] = inside
    return found


def polygons(parts: list[Points], size_px: Size) -> UInt8:
    """The union of several outlines."""
    found = np.zeros(size_px, np.uint8)
    for points in parts:
        cv2.bitwise_or(found, polygon(points, size_px), dst=found)
    return found


def box(corners: tuple[float, float, float, float], size_px: Size, degrees: float = 0.0) -> UInt8:
    """A box of corners (x0, y0, x1, y1) [px], turned clockwise about its centre."""
    x0, y0, x1, y1 = corners
    return polygon(_turned(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64), degrees), size_px)


def ellipse(centre: tuple[float, float], radii: tuple[float, float], size_px: Size, degrees: float = 0.0) -> UInt8:
    """An ellipse with these radii along x and y [px], turned clockwise about its centre."""
    angle = np.linspace(0, 2 * np.pi, _CIRCLE_POINTS, endpoint=False)
    points = np.stack([centre[0] + radii[0] * np.cos(angle), centre[1] + radii[1] * np.sin(angle)], axis=1)
    return polygon(_turned(points, degrees), size_px)


def paste(part: UInt8, left: int, top: int, size_px: Size) -> UInt8:
    """A small mask at its place; what would lie outside is cut off."""
    found = np.zeros(size_px, np.uint8)
    height, width = part.shape
    y0, x0 = max(0, top), max(0, left)
    y1, x1 = min(size_px[0], top + height), min(size_px[1], left + width)
    if y0 < y1 and x0 < x1:
        found[y0:y1, x0:x1] = part[y0 - top : y1 - top, x0 - left : x1 - left] != 0
    return found


def _turned(points: Points, degrees: float) -> Points:
    if not degrees:
        return points
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    # x to the right, y downwards: this turns clockwise to the eye.
    turned: Points = (points - centre) @ np.array([[cosine, sine], [-sine, cosine]]) + centre
    return turned
