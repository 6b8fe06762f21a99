"""A frame in tiles, from its pixels to its mask, one row of tiles at a time: memory grows with its width, not its area.

Rows of score cells become rows of the mask as soon as the cells below them are known, a narrow strip at a time, so that
what is enlarged stays in the processor's cache. The mask is that of all scores at once, pixel by pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import perf_counter_ns

import numpy as np

from edgeseg.runtime.frame.postprocess import plane_dtype, put_planes, score_cells, strip_mask
from edgeseg.runtime.frame.preprocess import as_pixels, check_frame, check_room, padded_in, plan_tiles_of
from edgeseg.runtime.frame.scratch import Scratch
from edgeseg.runtime.frame.tiling import kept_parts, tiles_per_call
from edgeseg.runtime.frame.window import REACH
from edgeseg.runtime.spec.manifest import ModelSpec

# Pixels enlarged in one go.
_STRIP_PX = 1 << 18

Infer = Callable[[np.ndarray], np.ndarray]
# Called with rows of the mask, the first one's number, their cells (K, h, w) and the row that the cells begin at.
Seen = Callable[[np.ndarray, int, np.ndarray, int], None]


class TileStream:
    """One frame on its way.

    Args:
        frame: As for `prepare`.
        spec: A model whose geometry is `tile`.
        infer: Runs the network on tiles, uint8 (N, side, side, C), and returns its output.
        scratch: Memory kept from frame to frame.

    Raises:
        FrameError: As `prepare`.

    Attributes:
        times_ns: What cutting tiles, the network and making the mask have taken.
    """

    def __init__(self, frame: np.ndarray, spec: ModelSpec, infer: Infer, scratch: Scratch) -> None:
        check_room(frame, spec.input)
        check_frame(frame, spec.input.window)
        self._frame, self._spec, self._infer, self._scratch = frame, spec, infer, scratch
        self._height, self._width = frame.shape[:2]
        self._grid = plan_tiles_of((self._height, self._width), spec.input)
        self._stride = spec.output.stride_px
        self.times_ns = [0, 0, 0]

    def mask(self, seen: Seen | None = None) -> np.ndarray:
        """Run the network over all tiles.

        Args:
            seen: Told of each strip of the mask that is done, from top to bottom, while its scores are there.

        Returns:
            Class ids, uint8 (H, W). A new array.

        Raises:
            BackendError: If the engine fails, or its scores are not what the spec promises.
        """
        mask = np.zeros((self._height, self._width), np.uint8)
        done = 0
        for planes, first_cell, last in self._bands():
            start = perf_counter_ns()
            end = self._height if last else (first_cell + planes.shape[1] - REACH) * self._stride
            for top, bottom in self._strips(done, end):
                cells, top_cell = self._around(planes, first_cell, top, bottom)
                begin = top_cell * self._stride
                rows = min(cells.shape[1] * self._stride, self._height - begin)
                strip = strip_mask(cells, self._spec, (rows, self._width), self._scratch)
                if strip is not None:
                    mask[top:bottom] = strip[top - begin : bottom - begin]
                    if seen is not None:
                        seen(mask[top:bottom], top, cells, begin)
            done = end
            self.times_ns[2] += perf_counter_ns() - start
        return mask

    def _strips(self, done: int, end: int) -> Iterator[tuple[int, int]]:
        """Rows from `done` to `end` in strips that begin at even rows and where cells do."""
        step = max(2, _STRIP_PX // self._width // (2 * self._stride) * 2) * self._stride
        for top in range(done, end, step):
            yield top, min(top + step, end)

    def _around(self, planes: np.ndarray, first_cell: int, top: int, bottom: int) -> tuple[np.ndarray, int]:
        """The cells that rows of the mask are made of, with their reach, and the number of the first row of them."""
        low = max(top // self._stride - REACH, first_cell)
        high = -(-bottom // self._stride) + REACH
        return planes[:, low - first_cell : high - first_cell], low

    def _bands(self) -> Iterator[tuple[np.ndarray, int, bool]]:
        """Yield the cells of each row of tiles below those of the one before, whose last two rows are kept on top.

        Yields:
            Planes (K, h, w) without what is all padding; the number of their first row; whether they are the last.
        """
        spec, grid, stride = self._spec, self._grid, self._stride
        n_rows, n_columns = -(-self._height // stride), -(-self._width // stride)
        parts = kept_parts(grid.tops, grid.tile_px, stride)
        keep = 2 * REACH
        shape = (
            1 if spec.output.kind == "class_ids" else spec.n_planes,
            grid.tile_px // stride + keep,
            grid.padded_shape[1] // stride,
        )
        band = self._scratch.array("band", shape, plane_dtype(spec))
        first_cell, height = 0, 0
        for number, (top, begin, end) in enumerate(parts):
            kept = min(keep, height)
            band[:, :kept] = band[:, height - kept : height].copy()
            first_cell, height = begin - kept, kept + end - begin
            self._fill(band[:, kept:height], grid.tops[number], slice(begin - top, end - top))
            last = number == len(parts) - 1
            yield band[:, : min(height, n_rows - first_cell), :n_columns], first_cell, last

    def _fill(self, planes: np.ndarray, top_px: int, rows: slice) -> None:
        """Run one row of tiles and write the cells that are kept of it."""
        spec, grid, scratch = self._spec, self._grid, self._scratch
        start = perf_counter_ns()
        pixels = self._pixels(top_px)
        side, per_call = grid.tile_px, min(tiles_per_call(grid.tile_px, spec), len(grid.lefts))
        columns = kept_parts(grid.lefts, side, self._stride)
        self.times_ns[0] += perf_counter_ns() - start
        for first in range(0, len(columns), per_call):
            start = perf_counter_ns()
            lefts = grid.lefts[first : first + per_call]
            tiles = scratch.array("tiles", (len(lefts), side, side, pixels.shape[2]), np.uint8)
            for tile, left in zip(tiles, lefts, strict=True):
                tile[...] = pixels[:, left : left + side]
            cut = perf_counter_ns()
            scores = self._infer(tiles)
            inferred = perf_counter_ns()
            for cells, (left, begin, end) in zip(
                score_cells(scores, spec, tiles.shape), columns[first : first + per_call], strict=True
            ):
                put_planes(cells[rows, begin - left : end - left], spec, planes[:, :, begin:end])
            for stage, ns in enumerate((cut - start, inferred - cut, perf_counter_ns() - inferred)):
                self.times_ns[stage] += ns

    def _pixels(self, top_px: int) -> np.ndarray:
        """The network's pixels of one row of tiles, uint8 (tile_px, W, C), padded as the whole frame would be."""
        bottom = top_px + self._grid.tile_px
        added = max(0, bottom - self._height)
        # What the padding mirrors may lie above the tiles.
        first = max(0, min(top_px, self._height - 1 - added)) if added else top_px
        image = as_pixels(self._frame[first:bottom], self._spec.input, self._scratch)
        padded = padded_in(image, (bottom - first, self._grid.padded_shape[1]), self._scratch)[top_px - first :]
        return padded if padded.ndim == 3 else padded[:, :, None]
