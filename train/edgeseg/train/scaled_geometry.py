"""Geometries of trainings at a reduced size: short ones of a search, and the first epochs of a teacher."""

from __future__ import annotations

import dataclasses

from edgeseg.runtime.spec.input_spec import Geometry


def scaled(geometry: Geometry, scale: float, stride_px: int) -> Geometry:
    """A geometry with smaller images, still multiples of the stride; native frames stay as they are."""
    if scale == 1.0 or geometry.mode == "native":
        return geometry

    def side(px: int | None) -> int:
        return max(2, round(int(px or 0) * scale / stride_px)) * stride_px

    if geometry.mode == "resize":
        return dataclasses.replace(geometry, height_px=side(geometry.height_px), width_px=side(geometry.width_px))
    tile = side(geometry.tile_px)
    ratio = tile / int(geometry.tile_px or tile)
    return dataclasses.replace(geometry, tile_px=tile, overlap_px=int(int(geometry.overlap_px or 0) * ratio) // 2 * 2)
