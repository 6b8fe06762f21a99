"""Regions of a tiled frame, found strip by strip while the strip's scores are there, joined across strips and tiles."""

from __future__ import annotations

from time import perf_counter_ns

import numpy as np

from edgeseg.runtime.frame.regions import Region, RegionFinder
from edgeseg.runtime.frame.row_probability import RowProbability
from edgeseg.runtime.frame.window import whole_window
from edgeseg.runtime.spec.manifest import ModelSpec


class StripRegions:
    """What `TileStream.mask` tells of its strips.

    Args:
        spec: The model.
        width: Width of the frame [px].

    Attributes:
        spent_ns: What it has taken.
    """

    def __init__(self, spec: ModelSpec, width: int) -> None:
        self._spec, self._width, self._finder = spec, width, RegionFinder(width)
        self.spent_ns = 0

    def __call__(self, mask: np.ndarray, top: int, cells: np.ndarray, begin: int) -> None:
        """Take a strip of the mask; its arguments are those of `tile_stream.Seen`."""
        start = perf_counter_ns()
        rows = None
        if self._spec.output.kind == "scores":
            below, stride = top - begin, self._spec.output.stride_px
            shape = (cells.shape[1] * stride, self._width)
            whole = whole_window(shape, shape, stride)
            scores = RowProbability(cells, whole, self._spec)

            def rows(first: int, last: int) -> np.ndarray:
                return scores.rows(first + below, last + below)

        self._finder.add(mask, top, rows)
        self.spent_ns += perf_counter_ns() - start

    def regions(self) -> tuple[Region, ...]:
        """All of them."""
        return self._finder.regions()
