"""Padding an image at its bottom and right edge to a multiple of a network's stride."""

from __future__ import annotations

import cv2
import numpy as np


def pad_to_shape(image: np.ndarray, height: int, width: int, out: np.ndarray | None = None) -> np.ndarray:
    """Pad the bottom and right edge by reflection, the edge pixel itself not repeated.

    Where an axis is too short to reflect that far, its edge pixel is repeated instead.

    Args:
        image: uint8 (H, W) or (H, W, C), H <= height and W <= width.
        height: Height of the result [px].
        width: Width of the result [px].
        out: Array of the result's shape to write to, or None for a new one.

    Returns:
        The padded image, or `image` itself where nothing is to be done.
    """
    rows, columns = height - image.shape[0], width - image.shape[1]
    if rows == 0 and columns == 0:
        return image
    row_border, column_border = _border(rows, image.shape[0]), _border(columns, image.shape[1])
    if row_border == column_border:
        return cv2.copyMakeBorder(image, 0, rows, 0, columns, row_border, dst=out)
    wide = cv2.copyMakeBorder(image, 0, 0, 0, columns, column_border)
    return cv2.copyMakeBorder(wide, 0, rows, 0, 0, row_border, dst=out)


def round_up(value: int, multiple: int) -> int:
    """Return the smallest multiple of `multiple` that is not below `value`."""
    return -(-value // multiple) * multiple


def _border(added: int, size: int) -> int:
    return int(cv2.BORDER_REFLECT_101 if added < size else cv2.BORDER_REPLICATE)
