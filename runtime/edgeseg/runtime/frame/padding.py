"""Padding an image at its bottom and right edge to a multiple of a network's stride."""

from __future__ import annotations

import cv2
import numpy as np


def pad_to_multiple(image: np.ndarray, multiple: int, at_least: tuple[int, int] = (0, 0)) -> np.ndarray:
    """Pad so that both sides are multiples of `multiple` and at least `at_least`.

    Only the bottom and the right edge grow, so that pixel (0, 0) stays where it is and undoing it is a crop.

    Args:
        image: uint8 (H, W) or (H, W, C).
        multiple: What the sides must be multiples of [px].
        at_least: Smallest height and width of the result before rounding up [px].

    Returns:
        The padded image, or `image` itself where nothing is to be done.
    """
    height, width = image.shape[:2]
    return pad_to_shape(
        image, round_up(max(height, at_least[0]), multiple), round_up(max(width, at_least[1]), multiple)
    )


def pad_to_shape(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Pad the bottom and right edge by reflection, the edge pixel itself not repeated.

    Where an axis is too short to reflect that far, its edge pixel is repeated instead.

    Args:
        image: uint8 (H, W) or (H, W, C), H <= height and W <= width.
        height: Height of the result [px].
        width: Width of the result [px].

    Returns:
        The padded image, or `image` itself where nothing is to be done.
    """
    rows, columns = height - image.shape[0], width - image.shape[1]
    if rows == 0 and columns == 0:
        return image
    row_border, column_border = _border(rows, image.shape[0]), _border(columns, image.shape[1])
    if row_border == column_border:
        return cv2.copyMakeBorder(image, 0, rows, 0, columns, row_border)
    wide = cv2.copyMakeBorder(image, 0, 0, 0, columns, column_border)
    return cv2.copyMakeBorder(wide, 0, rows, 0, 0, row_border)


def round_up(value: int, multiple: int) -> int:
    """Return the smallest multiple of `multiple` that is not below `value`."""
    return -(-value // multiple) * multiple


def _border(added: int, size: int) -> int:
    return int(cv2.BORDER_REFLECT_101 if added < size else cv2.BORDER_REPLICATE)
