"""The sizes an engine is built for: smallest, usual and largest input, from the geometry of what it will be given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from edgeseg.export.fits import fixed_size
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.frame.padding import round_up
from edgeseg.runtime.spec.model_spec import ModelSpec

Size = tuple[int, int]
Shape = tuple[int, int, int, int]


class Profile(NamedTuple):
    """Shapes (N, H, W, C) of the input; `set_shape` takes them in this order. N is 1, as the runtime calls engines."""

    smallest: Shape
    usual: Shape
    largest: Shape

    def to_json(self) -> dict[str, list[int]]:
        """The shapes by the names that TensorRT gives them."""
        return dict(zip(("min", "opt", "max"), map(list, self), strict=True))


def profile_for(spec: ModelSpec, sizes: Sequence[Size], frames: Sequence[Size]) -> Profile:
    """Choose the shapes of an engine.

    Args:
        spec: Of the file it is built from.
        sizes: Height and width [px] that are asked for: none, one, or smallest, usual and largest.
        frames: Sizes of typical frames [px]; they decide where the geometry is free and no size is asked for.

    Raises:
        ConfigError: If the sizes are off the stride, out of order, or no engine of them could take the frames.
    """
    stride, geometry = spec.input.stride_px, spec.input.geometry
    free = geometry.mode == "native" and geometry.height_px is None
    own = None if free else fixed_size(spec.input)
    if sizes:
        chosen = list(sizes) * 3 if len(sizes) == 1 else list(sizes)
        _check(chosen, own, spec)
    elif own is not None:
        chosen = [own] * 3
    elif frames:
        padded = [(round_up(height, stride), round_up(width, stride)) for height, width in frames]
        low, high = (tuple(map(limit, *padded, padded[0])) for limit in (min, max))
        chosen = [low, padded[0], high]  # type: ignore[list-item]
    else:
        raise ConfigError("the bundle takes frames of any size; say which with --size HxW or --size MIN,USUAL,MAX")
    shapes: list[Any] = [(1, height, width, spec.input.channels) for height, width in chosen]
    return Profile(*shapes)


def _check(sizes: Sequence[Size], own: Size | None, spec: ModelSpec) -> None:
    stride, said = spec.input.stride_px, ",".join(f"{height}x{width}" for height, width in sizes)
    if len(sizes) != 3:
        raise ConfigError(f"--size {said} are {len(sizes)} sizes; give one, or three: smallest, usual and largest")
    for height, width in sizes:
        if height % stride or width % stride:
            valid = f"{round_up(height, stride)}x{round_up(width, stride)}"
            raise ConfigError(f"--size {height}x{width} is off the network's stride of {stride} px; {valid} would fit")
    if any(not low <= usual <= high for low, usual, high in zip(*sizes, strict=True)):
        raise ConfigError(f"--size {said} is out of order: give smallest, usual and largest, in height and in width")
    if own is None:
        return
    if any(not low <= side <= high for low, side, high in zip(sizes[0], own, sizes[2], strict=True)):
        made = f"the {own[0]}x{own[1]} px that the bundle's geometry makes of every frame"
        raise ConfigError(f"an engine of --size {said} could not take {made}. Leave out --size")
    if not spec.dynamic and any(size != own for size in sizes):
        raise ConfigError(f"the variant's file has one size, {own[0]}x{own[1]}. Leave out --size")
