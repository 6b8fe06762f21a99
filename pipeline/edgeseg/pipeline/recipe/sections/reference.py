"""The recipe's `reference` section: the network that all costs are compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.spec.input_spec import Geometry


@dataclass(frozen=True)
class ReferenceSection:
    """The plain U-Net in FP32 that speed-ups and sizes refer to, whatever the teacher is.

    It has random weights and is never trained: size, memory and the engine's time do not depend on them. Where its
    Dice is wanted, let the teacher be that network.

    Attributes:
        base: Channels at full resolution.
        depth: Levels.
        upsampling: See `train.models.unet.unet_arch`.
    """

    base: int = 32
    depth: int = 5
    upsampling: Literal["transposed", "bilinear"] = "transposed"

    def check(self, geometry: Geometry) -> None:
        """Refuse a size that this network cannot take.

        Raises:
            ConfigError: With the multiple that it needs.
        """
        stride, sides = 2 ** (self.depth - 1), (int(geometry.height_px or 0), int(geometry.width_px or 0))
        if geometry.mode == "resize" and any(side % stride for side in sides):
            raise ConfigError(
                f"geometry is {sides[0]}x{sides[1]}, but reference.depth {self.depth} needs multiples of {stride}; "
                "change one of them"
            )
