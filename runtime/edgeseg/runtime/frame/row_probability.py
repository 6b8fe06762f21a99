"""Class probabilities by rows of a frame: what looks at each pixel once needs no full-size plane of every class."""

from __future__ import annotations

import numpy as np

from edgeseg.runtime.frame.postprocess import softmax, to_logits
from edgeseg.runtime.frame.preprocess import resize
from edgeseg.runtime.frame.window import Window
from edgeseg.runtime.spec.manifest import ModelSpec


class RowProbability:
    """What `postprocess.probability` gives, rows of it at a time; equal to it within rounding.

    Args:
        planes: Low-resolution scores, (planes, h, w), from `score_planes`, or those of a strip of the frame.
        whole: The window of the frame, or of the strip, that they become.
        spec: The model.
    """

    def __init__(self, planes: np.ndarray, whole: Window, spec: ModelSpec) -> None:
        self._planes, self._whole, self._spec = planes, whole, spec
        self.shape = (len(spec.classes), *whole.shape)

    def rows(self, first: int, last: int) -> np.ndarray:
        """Return the probabilities of the rows from `first` up to but not `last`, float32 (K, last - first, W)."""
        whole = self._whole
        height, width = whole.shape
        # Most frames' cells become their rows in one step; else the rows lie between lines of the network's input.
        two_steps = whole.content[0] != height
        low, high, part = _taps(whole.content[0], height, first, last)
        begin, end = (int(low[0]), int(high[-1]) + 1) if two_steps else (first, last)
        above, below, share = _taps(self._planes.shape[1], whole.enlarged[0], begin, end)
        cells = to_logits(self._planes[:, above[0] : below[-1] + 1], self._spec)
        logits = np.empty((len(cells), last - first, width), np.float32)
        for plane, large in zip(cells, logits, strict=True):
            lines = _between(plane, above - above[0], below - above[0], share)
            if two_steps:
                lines = _between(lines, low - begin, high - begin, part)
            wide = resize(lines, len(lines), whole.enlarged[1], "linear")[:, : whole.content[1]]
            large[...] = resize(wide, len(lines), width, "linear")
        return softmax(logits)


def _taps(n_from: int, n_to: int, first: int, last: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For lines first..last of `n_to` scaled linearly from `n_from`: the two lines each lies between, and how far."""
    at = np.clip((np.arange(first, last) + 0.5) * (n_from / n_to) - 0.5, 0, n_from - 1)
    low = at.astype(np.intp)
    return low, np.minimum(low + 1, n_from - 1), (at - low).astype(np.float32)


def _between(lines: np.ndarray, low: np.ndarray, high: np.ndarray, part: np.ndarray) -> np.ndarray:
    between: np.ndarray = lines[low] * (1 - part)[:, None] + lines[high] * part[:, None]
    return between
