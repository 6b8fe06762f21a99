"""Connected components of one class in a mask that is handed over strip by strip, so that no full-size labels are held.

Each strip is labelled by itself; labels that touch across a seam are one component.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.runtime.frame.bounds import bounding_box

UInt8 = npt.NDArray[np.uint8]


class Components:
    """The 8-connected components of one class.

    Args:
        width: Width of the mask [px].
    """

    def __init__(self, width: int) -> None:
        self._count = 0
        self._end = 0
        self._areas: list[npt.NDArray[np.int64]] = []
        self._boxes: list[npt.NDArray[np.int64]] = []  # left, top, right, bottom; right and bottom outside
        self._sums: list[npt.NDArray[np.float64]] = []
        self._touching: list[npt.NDArray[np.int64]] = []
        # Component + 1 along the last row seen, 0 for none; a column more on either side for diagonal neighbours.
        self._seam = np.zeros(width + 2, np.int64)

    def add(self, of_class: UInt8, top: int, scores: npt.NDArray[np.generic] | None) -> None:
        """Take the next strip; rows without the class may be left out.

        Args:
            of_class: 1 where the class is, else 0, shape (n, width).
            top: Row of the mask that the strip begins at, below the strip before [px].
            scores: What is summed up over each component, shape (n, width), or None.
        """
        x, y, width, height = bounding_box(of_class)
        seam, self._seam = self._seam, np.zeros_like(self._seam)
        touches, self._end = top == self._end and y == 0, top + len(of_class)
        if height == 0:
            return
        window = (slice(y, y + height), slice(x, x + width))
        n, labels, stats, _ = cv2.connectedComponentsWithStats(of_class[window], connectivity=8, ltype=cv2.CV_32S)
        left, upper, wide, high, area = stats[1:].astype(np.int64).T
        left, upper = left + x, upper + y + top
        self._areas.append(area)
        self._boxes.append(np.stack([left, upper, left + wide, upper + high], axis=1))
        if scores is not None:
            inside = labels > 0
            sums = np.bincount(labels[inside], weights=scores[window][inside], minlength=n)[1:]
            self._sums.append(sums.astype(np.float64, copy=False))
        # Labels begin at 1, so with what was counted before they are component + 1.
        if touches:
            first = np.where(labels[0] > 0, labels[0] + self._count, 0)
            for shift in (0, 1, 2):
                above = seam[x + shift : x + shift + width]
                both = (above > 0) & (first > 0)
                self._touching.append(np.unique(np.stack([above[both], first[both]], axis=1) - 1, axis=0))
        if y + height == len(of_class):
            self._seam[1 + x : 1 + x + width] = np.where(labels[-1] > 0, labels[-1] + self._count, 0)
        self._count += n - 1

    def result(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64] | None]:
        """The components in the order of their first strip and label.

        Returns:
            Areas [px], shape (n,); boxes (left, top, right, bottom), right and bottom outside [px], shape (n, 4); sums
            of the scores, shape (n,), or None where no scores were given.
        """
        if not self._areas:
            return np.zeros(0, np.int64), np.zeros((0, 4), np.int64), None
        areas, boxes = np.concatenate(self._areas), np.concatenate(self._boxes)
        sums = np.concatenate(self._sums) if self._sums else None
        roots = self._roots()
        if roots is None:
            return areas, boxes, sums
        firsts, component = np.unique(roots, return_inverse=True)
        joined = boxes[firsts]
        np.minimum.at(joined[:, :2], component, boxes[:, :2])
        np.maximum.at(joined[:, 2:], component, boxes[:, 2:])
        total = np.zeros(len(firsts), np.int64)
        np.add.at(total, component, areas)
        if sums is not None:
            sums = np.bincount(component, weights=sums, minlength=len(firsts)).astype(np.float64, copy=False)
        return total, joined, sums

    def _roots(self) -> npt.NDArray[np.int64] | None:
        """By component the first one that it is joined with, or None where nothing is joined."""
        pairs = np.concatenate(self._touching) if self._touching else np.zeros((0, 2), np.int64)
        if not len(pairs):
            return None
        root = list(range(self._count))
        for pair in pairs.tolist():
            first, second = sorted(_root_of(root, one) for one in pair)
            root[second] = first
        return np.array([_root_of(root, one) for one in range(self._count)])


def _root_of(root: list[int], one: int) -> int:
    while root[one] != one:
        root[one] = root[root[one]]  # halves the way for the next to ask
        one = root[one]
    return one
