"""What a network is given of a frame: at which size it runs, and how often."""

from __future__ import annotations

from dataclasses import dataclass

from edgeseg.runtime.frame.padding import round_up
from edgeseg.runtime.frame.preprocess import plan_tiles_of
from edgeseg.runtime.spec.input_spec import InputSpec


@dataclass(frozen=True)
class NetworkInput:
    """The images that a network takes of one frame.

    Attributes:
        n: How many: the tiles of the frame, or 1.
        height_px: Of each, padded.
        width_px: Likewise.
    """

    n: int
    height_px: int
    width_px: int

    @property
    def words(self) -> str:
        """Such as `256x320 px`, height and width."""
        return f"{self.height_px}x{self.width_px} px"


def network_input(frame_px: tuple[int, int], spec: InputSpec) -> NetworkInput:
    """What the runtime makes of a frame of (height, width) [px]; by the shapes alone."""
    geometry = spec.geometry
    if geometry.tile_px is not None:
        return NetworkInput(len(plan_tiles_of(frame_px, spec)), geometry.tile_px, geometry.tile_px)
    sides = (geometry.height_px or frame_px[0], geometry.width_px or frame_px[1])
    return NetworkInput(1, *(round_up(side, spec.stride_px) for side in sides))
