"""A frame with nothing on it, to run an engine once before it matters."""

from __future__ import annotations

import numpy as np

from edgeseg.runtime.frame.padding import round_up
from edgeseg.runtime.spec.input_spec import InputSpec

_SIDE_PX = 256  # where frames may have any size and nobody says which


def blank_frame(spec: InputSpec, shape: tuple[int, int] | None = None) -> np.ndarray:
    """Return a black frame that a network takes, of its colour and depth.

    Args:
        spec: The network's input.
        shape: (height, width) of the frames to come [px]; None is the size of the geometry, or 256x256 where it has
            none.
    """
    channels = () if spec.color == "gray" else (3,)
    return np.zeros((*(shape or usual_size(spec)), *channels), np.uint8 if spec.window is None else np.uint16)


def usual_size(spec: InputSpec) -> tuple[int, int]:
    """Height and width [px] of the frames that the geometry asks for, or 256x256 where it leaves them open."""
    geometry = spec.geometry
    usual = geometry.tile_px or round_up(_SIDE_PX, spec.stride_px)
    return geometry.height_px or usual, geometry.width_px or usual
