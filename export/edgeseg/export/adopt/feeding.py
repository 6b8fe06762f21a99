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

    @classmethod
    def parse(cls, size: str, scale: float, mean: str, std: str) -> Feeding:
        """Read `--size`, `--scale`, `--mean` and `--std` of a command line.

        Raises:
            ConfigError: One is of another form.
        """
        return cls(_size(size), scale, _numbers("mean", mean), _numbers("std", std))

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


def _size(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    height, _, width = text.lower().partition("x")
    if not (height.isdigit() and width.isdigit() and int(height) and int(width)):
        raise ConfigError(f"--size is {text!r}; give height and width such as 256x320")
    return int(height), int(width)


def _numbers(name: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as err:
        raise ConfigError(f"--{name} is {text!r}; give one number, or one a channel such as 0.49,0.46,0.41") from err
