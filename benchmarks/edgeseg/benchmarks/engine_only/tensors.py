"""What a foreign file is fed: its inputs as it declares them, sizes filled in, and values from a seed."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from edgeseg.runtime.errors import ConfigError

# A name stands for a size that the file leaves open.
Dim = int | str
Values = Literal["random", "zeros"]
_CHANNELS = (1, 3, 4)


@dataclass(frozen=True)
class Tensor:
    """An input.

    Attributes:
        name: As the file calls it.
        dtype: numpy's name of its element type, or the engine's own where numpy has none.
        shape: Sizes; a name (or "?") where the file leaves one open.
    """

    name: str
    dtype: str
    shape: tuple[Dim, ...]

    @property
    def fixed(self) -> bool:
        """Whether every size is known."""
        return all(isinstance(size, int) for size in self.shape)

    @property
    def words(self) -> str:
        """Such as `x float32 1x3x224x224`."""
        return f"{self.name} {self.dtype} {'x'.join(map(str, self.shape)) or 'scalar'}"

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON."""
        return {**asdict(self), "shape": list(self.shape)}

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> Tensor:
        """Read what `to_json` wrote."""
        return cls(str(obj["name"]), str(obj["dtype"]), tuple(obj["shape"]))


@dataclass(frozen=True)
class Sizes:
    """What the user says of open sizes.

    Attributes:
        size_px: Height and width of images, or None.
        shapes: Whole shapes by the input's name; "" is a file's only input.
        batch: Images of one inference.
    """

    size_px: tuple[int, int] | None = None
    shapes: Mapping[str, tuple[int, ...]] | None = None
    batch: int = 1

    @classmethod
    def parse(cls, size: str, shapes: Sequence[str]) -> Sizes:
        """Read `--size` and the `--shape`s of a command line.

        Raises:
            ConfigError: One is of another form.
        """
        found: dict[str, tuple[int, ...]] = {}
        for text in shapes:
            # Names may hold "=" and "x" of their own (`image_x=1x3x8x8`).
            name, _, numbers = text.rpartition("=")
            parts = [] if numbers == "scalar" else numbers.lower().split("x")
            if not all(part.isdigit() and int(part) for part in parts):
                raise ConfigError(f"--shape {text!r}: give NAME=1x3x224x224, or 1x3x224x224 for the only input")
            found[name] = tuple(map(int, parts))
        return cls(_pair(size), found)


def _pair(size: str) -> tuple[int, int] | None:
    if not size:
        return None
    height, _, width = size.lower().partition("x")
    if not (height.isdigit() and width.isdigit() and int(height) and int(width)):
        raise ConfigError(f"--size is {size!r}: give height and width such as 256x320")
    return int(height), int(width)


def resolved(tensors: Sequence[Tensor], sizes: Sizes, file: str) -> tuple[Tensor, ...]:
    """The inputs with every size known.

    Args:
        tensors: As the file declares them.
        sizes: What the user said; a shape whose name is no input of this file is passed over.
        file: Its name, for messages.

    Raises:
        ConfigError: A size is still open, or one that was given is not the file's.
    """
    return tuple(_resolved(tensor, sizes, file, alone=len(tensors) == 1) for tensor in tensors)


def _resolved(tensor: Tensor, sizes: Sizes, file: str, *, alone: bool) -> Tensor:
    shapes = sizes.shapes or {}
    given = shapes.get(tensor.name, shapes.get("") if alone else None)
    if given is not None:
        fits = len(given) == len(tensor.shape) and all(
            not isinstance(own, int) or own == one for own, one in zip(tensor.shape, given, strict=True)
        )
        if not fits:
            shown = "x".join(map(str, given)) or "scalar"
            raise ConfigError(f"--shape says {shown}, but {file} takes {tensor.words}: give a shape that fits")
        return Tensor(tensor.name, tensor.dtype, given)
    shape = list(tensor.shape)
    if len(shape) > 1 and not isinstance(shape[0], int):
        shape[0] = sizes.batch  # a free batch
    elif sizes.batch > 1 and shape[:1] != [sizes.batch]:
        raise ConfigError(f"a batch of {sizes.batch} is asked for, but {file} takes {tensor.words}")
    if sizes.size_px is not None and (axes := _image_axes(tensor)) is not None:
        for axis, pixels in zip(axes, sizes.size_px, strict=True):
            if isinstance(shape[axis], int) and shape[axis] != pixels:
                raise ConfigError(f"--size says {sizes.size_px[0]}x{sizes.size_px[1]}, but {file} takes {tensor.words}")
            shape[axis] = pixels
    if not all(isinstance(size, int) for size in shape):
        example = "x".join(str(size) if isinstance(size, int) else "8" for size in shape)
        image = "--size HxW, or " if _image_axes(tensor) is not None else ""
        raise ConfigError(f"{file} leaves sizes open: {tensor.words}. Give {image}--shape {tensor.name}={example}")
    return Tensor(tensor.name, tensor.dtype, tuple(shape))


def _image_axes(tensor: Tensor) -> tuple[int, int] | None:
    """Axes of height and width of an image batch, by where its channels stand; None where that is not plain."""
    if len(tensor.shape) != 4:
        return None
    first, last = tensor.shape[1] in _CHANNELS, tensor.shape[3] in _CHANNELS
    if first == last:
        return None
    return (2, 3) if first else (1, 2)


def made_up(tensor: Tensor, values: Values, seed: int = 0) -> np.ndarray:
    """Values for a tensor of known size: the same in every process, whatever else the file takes.

    Noise in 0..1 for floats, every value of a byte for 8-bit integers; wider integers and truths are zeros, as they
    are counts, places or switches, where noise would lead out of range.
    """
    shape = tuple(int(size) for size in tensor.shape)
    dtype = np.dtype(tensor.dtype)
    rng = np.random.default_rng([seed, zlib.crc32(tensor.name.encode("utf-8", "surrogateescape"))])
    if values == "zeros":
        return np.zeros(shape, dtype)
    if dtype.kind == "f":
        return np.asarray(rng.random(shape, np.float32)).astype(dtype)
    if dtype in (np.dtype(np.uint8), np.dtype(np.int8)):
        info = np.iinfo(dtype)
        return np.asarray(rng.integers(info.min, info.max, shape, dtype, endpoint=True))
    return np.zeros(shape, dtype)
