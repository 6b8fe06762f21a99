"""Tiles cover everything, overlap as asked and join to what the whole frame would have given."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.runtime.errors import FrameError
from edgeseg.runtime.frame.padding import pad_to_shape
from edgeseg.runtime.frame.tiling import TileGrid, extract, plan_tiles, stitch


@st.composite
def plans(draw: st.DrawFn) -> tuple[tuple[int, int], TileGrid, int, int]:
    stride = draw(st.sampled_from((1, 2, 4, 8)))
    tile = stride * draw(st.integers(2, 8))
    overlap = stride * draw(st.integers(0, tile // stride // 2))
    shape = draw(st.tuples(st.integers(1, 150), st.integers(1, 150)))
    return shape, plan_tiles(shape, tile, overlap, stride), overlap, stride


@given(plans())
def test_the_plan_covers_the_frame_with_the_overlap_asked_for(plan: tuple) -> None:
    shape, grid, overlap, stride = plan
    for size, padded, starts in zip(shape, grid.padded_shape, (grid.tops, grid.lefts), strict=True):
        assert padded >= size
        assert padded - size < max(stride, grid.tile_px)
        assert starts[0] == 0
        assert starts[-1] + grid.tile_px == padded
        for before, after in itertools.pairwise(starts):
            assert before < after
            assert before + grid.tile_px - after >= overlap
            assert after % stride == 0


@given(plans(), st.integers(1, 3))
def test_cut_and_joined_is_the_same(plan: tuple, channels: int) -> None:
    shape, grid, _, stride = plan
    frame = np.random.default_rng(0).integers(0, 256, (*shape, channels), np.uint8)
    padded = pad_to_shape(frame, *grid.padded_shape).reshape(*grid.padded_shape, channels)
    tiles = extract(padded, grid)
    assert tiles.shape == (len(grid), grid.tile_px, grid.tile_px, channels)
    np.testing.assert_array_equal(stitch(tiles, grid, 1), padded)
    # Scores at the stride: a tile's cell (i, j) stands for the pixel at its corner.
    np.testing.assert_array_equal(stitch(tiles[:, ::stride, ::stride], grid, stride), padded[::stride, ::stride])


@given(plans())
def test_what_is_kept_lies_away_from_a_tile_s_inner_edges(plan: tuple) -> None:
    _, grid, overlap, stride = plan
    side = grid.tile_px // stride
    depth = np.minimum(np.arange(side), np.arange(side)[::-1])
    tiles = np.broadcast_to(np.minimum.outer(depth, depth)[None, :, :, None], (len(grid), side, side, 1))
    joined = stitch(tiles, grid, stride)[:, :, 0]
    margin = overlap // stride // 2
    height, width = joined.shape
    rows, columns = np.indices(joined.shape)
    border = np.minimum.reduce([rows, columns, height - 1 - rows, width - 1 - columns])
    # Every kept cell is at least half the overlap from the edge of its tile, unless the frame itself ends there.
    assert (joined >= np.minimum(border, margin) - (overlap // stride % 2)).all()


def test_a_frame_of_one_tile_is_not_copied() -> None:
    grid = plan_tiles((20, 30), 32, 8, 4)
    padded = np.zeros((32, 32, 1), np.uint8)
    assert len(grid) == 1
    assert np.shares_memory(extract(padded, grid), padded)


def test_wrong_sizes_are_refused() -> None:
    grid = plan_tiles((100, 100), 32, 8, 4)
    with pytest.raises(FrameError, match="Pad the frame first"):
        extract(np.zeros((99, 100, 1), np.uint8), grid)
    with pytest.raises(FrameError, match="output stride"):
        stitch(np.zeros((len(grid), 16, 16, 3), np.uint8), grid, 4)
