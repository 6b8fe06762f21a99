"""What a foreign network eats: the arithmetic between pixels and its input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeseg.runtime.errors import ConfigError


@dataclass(frozen=True)
class Feeding:
    """What the file eats: (pixel * scale - mean) / std.

    Attributes:
        size_px: Height and width frames are scaled to, or None for the file's own fixed size.
        scale: Of raw pixels 0..255, such as 1 / 255.
        mean: One value, or one a channel.
        std: Likewise.
        dtype: Element type of the network's input; one that takes `uint8` is given pixels as they are.
    """

    size_px: tuple[int, int] | None = None
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    dtype: str = "float32"

    def __post_init__(self) -> None:
        finite = np.isfinite((self.scale, *self.mean, *self.std)).all()
        if not finite or not self.scale > 0 or any(not value > 0 for value in self.std):
            raise ConfigError(
                f"--scale is {self.scale}, --mean {self.mean}, --std {self.std}; all must be numbers, and --scale and "
                "--std above 0"
            )

    @property
    def said(self) -> bool:
        """Whether anything else than the default was asked for."""
        return (self.scale, self.mean, self.std) != (1 / 255, (0.0,), (1.0,))

    @property
    def words(self) -> str:
        """For the report."""
        if self.dtype == "uint8":
            return "pixels as they are (uint8)"
        return f"(pixel * {self.scale:.6g} - {list(self.mean)}) / {list(self.std)}"

    @property
    def affine(self) -> tuple[np.ndarray, np.ndarray]:
        """Factor and shift of a pixel, float32 (1,) or one a channel: pixel * factor + shift."""
        mean, std = np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32)
        return np.float32(self.scale) / std, -mean / std

    def apply(self, pixels: np.ndarray, layout: str) -> np.ndarray:
        """The tensor for the file itself, of `dtype`, from uint8 (N, H, W, C)."""
        values = pixels
        if self.dtype != "uint8":
            mean, std = np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32)
            values = (pixels.astype(np.float32) * np.float32(self.scale) - mean) / std
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2) if layout == "NCHW" else values)
