"""Overlap-tile: cut a large frame into overlapping squares and join what a network says about them.

Reference:
    Ronneberger et al. 2015, arXiv:1505.04597, fig. 2 (overlap-tile strategy).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from edgeseg.runtime.engines import ENGINES
from edgeseg.runtime.errors import FrameError
from edgeseg.runtime.frame.padding import round_up
from edgeseg.runtime.spec.model_spec import ModelSpec


@dataclass(frozen=True)
class TileGrid:
    """Where the tiles of one padded frame lie.

    Attributes:
        padded_shape: (height, width) of the frame the tiles are cut from [px].
        tile_px: Side of a tile [px].
        tops: Top row of every row of tiles, ascending, the first 0 [px].
        lefts: Left column of every column of tiles, likewise [px].
    """

    padded_shape: tuple[int, int]
    tile_px: int
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.tops) * len(self.lefts)


def plan_tiles(frame_shape: tuple[int, int], tile_px: int, overlap_px: int, stride_px: int) -> TileGrid:
    """Lay tiles over a frame so that every pixel is covered and neighbours overlap by at least `overlap_px`.

    The last row and column are moved inwards to end at the padded frame's edge, so no tile is mostly padding.

    Args:
        frame_shape: (height, width) of the frame [px].
        tile_px: Side of a tile, a multiple of `stride_px` [px].
        overlap_px: Least overlap of neighbours, a multiple of `stride_px`, at most half a tile [px].
        stride_px: Every tile starts at a multiple of this, so that its score cells fall on one common raster [px].

    Returns:
        The grid; its `padded_shape` is the frame's, rounded up to the stride and to at least one tile.
    """
    height = max(round_up(frame_shape[0], stride_px), tile_px)
    width = max(round_up(frame_shape[1], stride_px), tile_px)
    step = tile_px - overlap_px
    return TileGrid((height, width), tile_px, _starts(height, tile_px, step), _starts(width, tile_px, step))


def tiles_per_call(tile_px: int, spec: ModelSpec) -> int:
    """How many tiles go through an engine at once: as many as make up one of 256x256, where it takes several.

    Four tiles of 128x128 in one call took 12 % less than one by one (ONNX Runtime, one thread), of 256x256 as long.
    """
    return max(1, (256 // tile_px) ** 2) if spec.dynamic and ENGINES[spec.backend].any_batch else 1


def extract(padded: np.ndarray, grid: TileGrid) -> np.ndarray:
    """Cut the tiles out of a padded frame.

    Args:
        padded: uint8 (H, W, C) with (H, W) = `grid.padded_shape`.
        grid: From `plan_tiles`.

    Returns:
        uint8 (T, tile_px, tile_px, C), row by row. A view where the grid is a single tile, else a new array.
    """
    if padded.shape[:2] != grid.padded_shape:
        raise FrameError(f"Tiles planned for {grid.padded_shape} px, found {padded.shape[:2]}. Pad the frame first.")
    side = grid.tile_px
    if len(grid) == 1:
        return padded[None]
    tiles = np.empty((len(grid), side, side, padded.shape[2]), padded.dtype)
    origins = [(top, left) for top in grid.tops for left in grid.lefts]
    for tile, (top, left) in zip(tiles, origins, strict=True):
        tile[...] = padded[top : top + side, left : left + side]
    return tiles


def stitch(tiles: np.ndarray, grid: TileGrid, output_stride_px: int) -> np.ndarray:
    """Join the outputs of overlapping tiles, each keeping its side of the middle of every overlap.

    Args:
        tiles: (T, h, w, K) with h = w = tile_px / output_stride_px, any dtype, in the order of `extract`.
        grid: The grid the tiles were cut by.
        output_stride_px: Pixels per output cell [px].

    Returns:
        (H / s, W / s, K), s = output_stride_px. A view where the grid is a single tile, else a new array.

    Raises:
        FrameError: If the number or size of the tiles is not that of the grid.
    """
    side = grid.tile_px // output_stride_px
    if tiles.shape[:3] != (len(grid), side, side):
        found = f"{len(grid)} tiles of {side}x{side} cells planned, found shape {tiles.shape}"
        raise FrameError(f"{found}. The model's output stride is not the one in its spec: export it again.")
    if len(grid) == 1:
        first: np.ndarray = tiles[0]
        return first
    height, width = (size // output_stride_px for size in grid.padded_shape)
    joined = np.empty((height, width, tiles.shape[3]), tiles.dtype)
    row_parts = kept_parts(grid.tops, grid.tile_px, output_stride_px)
    column_parts = kept_parts(grid.lefts, grid.tile_px, output_stride_px)
    index = 0
    for top, first_row, end_row in row_parts:
        for left, first_column, end_column in column_parts:
            rows, columns = slice(first_row - top, end_row - top), slice(first_column - left, end_column - left)
            joined[first_row:end_row, first_column:end_column] = tiles[index, rows, columns]
            index += 1
    return joined


def kept_parts(starts: tuple[int, ...], tile_px: int, stride: int) -> list[tuple[int, int, int]]:
    """Return (tile's start, first kept cell, end of kept cells) per tile along one axis, in output cells.

    Args:
        starts: `tops` or `lefts` of a grid [px].
        tile_px: Side of a tile [px].
        stride: Pixels per output cell [px].
    """
    middles = [(start + tile_px + after) // 2 // stride for start, after in itertools.pairwise(starts)]
    edges = [0, *middles, (starts[-1] + tile_px) // stride]
    return [(start // stride, edges[i], edges[i + 1]) for i, start in enumerate(starts)]


def _starts(size: int, tile_px: int, step: int) -> tuple[int, ...]:
    last = size - tile_px
    return (*range(0, last, step), last)
