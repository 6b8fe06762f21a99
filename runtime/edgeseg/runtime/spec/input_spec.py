"""The description of a network's input: colour, frame geometry and the stride its sides must be multiples of."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, cast, get_args

from edgeseg.runtime.errors import ManifestError
from edgeseg.runtime.spec.fields import Fields, one_of, show, whole

Color = Literal["gray", "rgb"]
Interpolation = Literal["area", "halving", "linear", "nearest"]
IntensityWindow = tuple[int, int]  # (lo, hi), see `WINDOW_FORM`; `intensity` applies it

MAX_SIDE_PX = 1 << 16
WINDOW_FORM = "two whole numbers [lo, hi] with 0 <= lo < hi <= 65535: the values that become 0 and 255"


def read_window(value: object) -> IntensityWindow | None:
    """Return a window as it stands in a file, a list of two whole numbers.

    Returns:
        (lo, hi), or None where it is no window; `WINDOW_FORM` says what one is.
    """
    if not isinstance(value, (list, tuple)) or len(value) != 2 or any(type(one) is not int for one in value):
        return None
    lo, hi = value
    return (lo, hi) if 0 <= lo < hi <= 65535 else None


@dataclass(frozen=True)
class Geometry:
    """How a frame of any size becomes the tensor of a network.

    Attributes:
        mode: `native` pads to the stride, `resize` scales to height_px x width_px, `tile` cuts overlapping squares.
        height_px: `resize`: target height. `native`: the one height [px] a fixed-size file takes, or None for any.
        width_px: Likewise the width.
        tile_px: `tile`: side of a tile [px].
        overlap_px: `tile`: how far neighbours overlap [px]; half of it is thrown away on either side of the seam.
        interpolation: Used by `resize` when scaling the frame.
    """

    mode: Literal["native", "resize", "tile"]
    height_px: int | None = None
    width_px: int | None = None
    tile_px: int | None = None
    overlap_px: int | None = None
    interpolation: Interpolation = "linear"

    def __post_init__(self) -> None:
        one_of(self.mode, ("native", "resize", "tile"), "geometry.mode")
        one_of(self.interpolation, get_args(Interpolation), "geometry.interpolation")
        for name, low in (("height_px", 1), ("width_px", 1), ("tile_px", 1), ("overlap_px", 0)):
            whole(getattr(self, name), f"geometry.{name}", low, MAX_SIDE_PX, required=False)
        sizes = (self.height_px is not None, self.width_px is not None)
        tiles = (self.tile_px is not None, self.overlap_px is not None)
        if sizes[0] != sizes[1]:
            raise ManifestError("geometry: height_px and width_px belong together, found one of them. Give both.")
        if self.mode == "resize" and not all(sizes):
            raise ManifestError("geometry.mode is 'resize' without a size. Give height_px and width_px.")
        if self.mode == "tile" and (any(sizes) or not all(tiles)):
            raise ManifestError("geometry.mode is 'tile': give tile_px and overlap_px, and no height_px or width_px.")
        if self.mode != "tile" and any(tiles):
            raise ManifestError(f"geometry.mode is {self.mode!r}, which has no tiles. Leave out tile_px, overlap_px.")
        if self.tile_px is not None and self.overlap_px is not None and 2 * self.overlap_px > self.tile_px:
            found = f"tile_px {self.tile_px}, overlap_px {self.overlap_px}"
            raise ManifestError(f"geometry: tiles may overlap by half at most, found {found}. Use a smaller overlap.")

    @classmethod
    def from_json(cls, value: object, where: str = "geometry") -> Geometry:
        """Read a decoded JSON object.

        Raises:
            ManifestError: If a key is unknown, a type wrong or the values contradict each other.
        """
        fields = Fields(value, where, cls.__dataclass_fields__)
        return cls(
            mode=cast(Any, fields.typed("mode", str)),
            height_px=fields.optional("height_px", int),
            width_px=fields.optional("width_px", int),
            tile_px=fields.optional("tile_px", int),
            overlap_px=fields.optional("overlap_px", int),
            interpolation=cast(Interpolation, fields.default("interpolation", str, "linear")),
        )


@dataclass(frozen=True)
class InputSpec:
    """What a network eats: colour, frame geometry and the multiple its sides must have.

    Attributes:
        color: `gray` is one channel, `rgb` three.
        geometry: From a frame to the tensor.
        stride_px: Height and width of the tensor are multiples of this [px]; the runtime pads to it.
        padding: How the border is filled; only `reflect`, as in training.
        window: (lo, hi) of 16-bit frames, which `intensity.apply_window` maps to 8 bits; None for 8-bit frames.
    """

    color: Color
    geometry: Geometry
    stride_px: int
    padding: Literal["reflect"] = "reflect"
    window: IntensityWindow | None = None

    def __post_init__(self) -> None:
        one_of(self.color, ("gray", "rgb"), "input.color")
        one_of(self.padding, ("reflect",), "input.padding")
        whole(self.stride_px, "input.stride_px", 1, MAX_SIDE_PX)
        if self.window is not None and read_window(self.window) is None:
            raise ManifestError(f"input.window: expected {WINDOW_FORM}; found {show(self.window)}. Correct it.")
        for name in ("tile_px", "overlap_px"):
            value = getattr(self.geometry, name)
            if value is not None and value % self.stride_px:
                valid = (value // self.stride_px + 1) * self.stride_px
                problem = f"input.geometry.{name} is {value}, not a multiple of stride_px {self.stride_px}"
                raise ManifestError(f"{problem}. The next valid value is {valid}.")

    @property
    def channels(self) -> int:
        """Channels of the tensor: 1 for gray, 3 for RGB."""
        return 1 if self.color == "gray" else 3

    @classmethod
    def from_json(cls, value: object, where: str = "input") -> InputSpec:
        """Read a decoded JSON object; raises ManifestError as `Geometry.from_json` does."""
        fields = Fields(value, where, cls.__dataclass_fields__)
        return cls(
            color=cast(Color, fields.typed("color", str)),
            geometry=Geometry.from_json(fields.raw("geometry"), f"{where}.geometry"),
            stride_px=fields.typed("stride_px", int),
            padding=cast(Any, fields.default("padding", str, "reflect")),
            window=fields.sequence("window", _level) if fields.has("window") else None,  # type: ignore[arg-type]
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of this spec; without a window it has no such key, as before there were any."""
        fields = asdict(self)
        window = fields.pop("window")
        return fields if window is None else fields | {"window": list(window)}


def _level(value: object, where: str) -> int:
    if type(value) is not int:
        raise ManifestError(f"{where}: expected a whole number, found {show(value)}. Correct this value.")
    return value
