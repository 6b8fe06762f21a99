"""From a frame to the tensor of a network: colour, window, geometry, padding.

The training loader, calibration, scoring and the Segmenter all use these functions, so they cannot drift apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any

import cv2
import numpy as np

from edgeseg.runtime.errors import FrameError
from edgeseg.runtime.frame.intensity import apply_window
from edgeseg.runtime.frame.padding import pad_to_shape, round_up
from edgeseg.runtime.frame.scratch import Scratch
from edgeseg.runtime.frame.tiling import TileGrid, extract, plan_tiles
from edgeseg.runtime.out_of_memory import available_mib
from edgeseg.runtime.spec.input_spec import Color, Geometry, InputSpec, IntensityWindow, Interpolation

_INTERPOLATION: dict[str, int] = {
    "area": cv2.INTER_AREA,
    "halving": cv2.INTER_LINEAR_EXACT,  # of what `_halved` leaves
    # The same on every processor: INTER_LINEAR is off by a grey level and more, in up to 45 % of pixels, on arm64.
    "linear": cv2.INTER_LINEAR_EXACT,
    # INTER_NEAREST picks by the pixel's corner and shifts a mask by half a pixel; the exact kind picks by its centre.
    "nearest": cv2.INTER_NEAREST_EXACT,
}

# Cells a network holds per pixel are not known here. 64 bytes is less than any of ours needs at full size
# (16 float32 channels), so a refusal is never wrong, and it comes before the kernel kills the process.
_LEAST_BYTES_PER_PX_NATIVE = 64
_UNCHECKED_PX = 1 << 24


@dataclass(frozen=True)
class Prepared:
    """A frame ready for an engine, and what is needed to bring the answer back to its size.

    Attributes:
        tensor: uint8 (N, H, W, C), N = 1 or the number of tiles. May be a view of the frame: use it before the frame
            changes.
        frame_shape: (height, width) of the frame [px].
        content_shape: (height, width) of what the tensor holds before padding [px]: the frame's, or the resized one.
        grid: Where the tiles lie, or None without tiles.
    """

    tensor: np.ndarray
    frame_shape: tuple[int, int]
    content_shape: tuple[int, int]
    grid: TileGrid | None = None


def in_dtype(tensor: np.ndarray, dtype: str, scratch: Scratch | None = None) -> np.ndarray:
    """Pixels, uint8, in a model's `input_dtype`: as they are, or as int8 128 less."""
    if dtype == "uint8":
        return tensor
    turned = (scratch or Scratch()).array("int8", tensor.shape, np.uint8)
    np.bitwise_xor(tensor, np.uint8(0x80), out=turned)  # the top bit flipped
    return turned.view(np.int8)


def prepare(frame: np.ndarray, spec: InputSpec, scratch: Scratch | None = None) -> Prepared:
    """Bring a frame into the colour, size and padding a network eats.

    Args:
        frame: uint8 (H, W) gray or (H, W, 3) RGB; uint16 where the spec has a window.
        spec: The network's input.
        scratch: Memory that the tensor may lie in: it is good until the next call with the same. None takes new memory.

    Returns:
        The tensor with the record of what was done.

    Raises:
        FrameError: If the frame is not such an array, does not fit a file of fixed size, or needs more memory than
            the machine has.
    """
    scratch = scratch or Scratch()
    check_room(frame, spec)
    image = as_pixels(frame, spec, scratch)
    height, width = image.shape[:2]
    geometry = spec.geometry
    grid: TileGrid | None = None
    if geometry.mode == "resize":
        image = _resized(image, geometry, scratch)
    elif geometry.mode == "tile":
        grid = plan_tiles_of((height, width), spec)
    else:
        _check_native(height, width, spec)
    content_shape = (image.shape[0], image.shape[1])
    stride = spec.stride_px
    padded_shape = (
        grid.padded_shape if grid else (round_up(content_shape[0], stride), round_up(content_shape[1], stride))
    )
    padded = padded_in(image, padded_shape, scratch)
    planes = padded if padded.ndim == 3 else padded[:, :, None]
    tensor = extract(planes, grid) if grid else planes[None]
    return Prepared(tensor, (height, width), content_shape, grid)


def as_pixels(frame: np.ndarray, spec: InputSpec, scratch: Scratch) -> np.ndarray:
    """Return a frame, or rows of it, in the network's colour and 8 bits; the frame itself where nothing is to be done.

    Raises:
        FrameError: As `to_color`.
    """
    image = to_color(frame, spec.color, spec.window, scratch)
    if spec.window is None:
        return apply_window(image, None)
    return apply_window(image, spec.window, scratch.array("pixels", image.shape, np.uint8))


def padded_in(image: np.ndarray, shape: tuple[int, int], scratch: Scratch) -> np.ndarray:
    """Pad an image to (height, width) as `pad_to_shape` does; `image` itself where nothing is to be done."""
    if image.shape[:2] == shape:
        return image
    return pad_to_shape(image, *shape, scratch.array("padded", (*shape, *image.shape[2:]), np.uint8))


def plan_tiles_of(frame_shape: tuple[int, int], spec: InputSpec) -> TileGrid:
    """Lay the tiles of a spec with geometry `tile` over a frame of (height, width) [px]."""
    geometry = spec.geometry
    assert geometry.tile_px is not None and geometry.overlap_px is not None
    return plan_tiles(frame_shape, geometry.tile_px, geometry.overlap_px, spec.stride_px)


def to_color(
    frame: np.ndarray, color: Color, window: IntensityWindow | None = None, scratch: Scratch | None = None
) -> np.ndarray:
    """Return the frame in the colour a network eats.

    Args:
        frame: uint8 (H, W) gray, (H, W, 1) gray or (H, W, 3) RGB; uint16 with a window.
        color: `gray` gives the luma of an RGB frame (ITU-R BT.601), `rgb` repeats a gray frame three times.
        window: Of the network's input; it is not applied here.
        scratch: Memory that the result may lie in; None takes new memory.

    Returns:
        (H, W) for gray, (H, W, 3) for RGB, of the frame's dtype; the frame itself or a view of it where nothing is to
        be done.

    Raises:
        FrameError: If the frame is not such an array.
    """
    check_frame(frame, window)
    if frame.ndim == 3 and frame.shape[2] == 1:
        frame = frame[:, :, 0]
    if frame.ndim == (2 if color == "gray" else 3):
        return frame
    shape, code = (frame.shape[:2], cv2.COLOR_RGB2GRAY) if color == "gray" else ((*frame.shape, 3), cv2.COLOR_GRAY2RGB)
    return cv2.cvtColor(frame, code, (scratch or Scratch()).array("color", shape, frame.dtype))


def resize(
    image: np.ndarray,
    height_px: int,
    width_px: int,
    interpolation: Interpolation,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Scale an image or a mask; pixel centres are at half-integers, as in torch with align_corners=False.

    Args:
        image: (H, W) or (H, W, C), uint8 or float32.
        height_px: Height of the result [px].
        width_px: Width of the result [px].
        interpolation: `nearest` for masks; `area` averages when shrinking; `halving` averages two by two pixels while a
            side is at least twice as long as wanted, the rest is linear: nearly `area`, in a fraction of its time;
            `linear` is the fastest, and looks at two pixels of however many there are.
        out: Array of the result's shape and dtype to write to, or None for a new one.

    Returns:
        The scaled image; `image` itself where it already has that size.
    """
    if image.shape[:2] == (height_px, width_px):
        return image
    if interpolation == "halving":
        image = _halved(image, height_px, width_px, Scratch())
        if image.shape[:2] == (height_px, width_px):
            return image
    return cv2.resize(image, (width_px, height_px), dst=out, interpolation=_INTERPOLATION[interpolation])


def _resized(image: np.ndarray, geometry: Geometry, scratch: Scratch) -> np.ndarray:
    assert geometry.height_px is not None and geometry.width_px is not None
    size = (geometry.height_px, geometry.width_px)
    interpolation = geometry.interpolation
    if interpolation == "halving":
        image, interpolation = _halved(image, *size, scratch), "linear"
    if image.shape[:2] == size:
        return image
    return resize(image, *size, interpolation, scratch.array("resized", (*size, *image.shape[2:]), np.uint8))


def _halved(image: np.ndarray, height_px: int, width_px: int, scratch: Scratch) -> np.ndarray:
    """Halve each side as long as it is at least twice as long as wanted; an odd side to the whole number below."""
    for level in count():
        height, width = image.shape[:2]
        down, across = (2 if height >= 2 * height_px else 1), (2 if width >= 2 * width_px else 1)
        if down == across == 1:
            return image
        # Both say the mean of two by two pixels where both sides are even, and OpenCV is fast at it by this name. Along
        # one side alone, or an odd one, it is fast at `linear`, which is the mean of two again, or close to it.
        exact = down == across == 2 and height % 2 == width % 2 == 0
        size = (height // down, width // across)
        out = scratch.array(f"halved {level}", (*size, *image.shape[2:]), image.dtype)
        kind = cv2.INTER_AREA if exact else cv2.INTER_LINEAR_EXACT
        image = cv2.resize(image, size[::-1], dst=out, interpolation=kind)
    raise AssertionError("count() has no end")


def check_room(frame: object, spec: InputSpec) -> None:
    """Refuse a large frame for which there is no memory, as one that is mapped from a file may be.

    Args:
        frame: Anything; what is no frame is left to `check_frame`.
        spec: The network's input.

    Raises:
        FrameError: If the mask and what is made of all pixels at once need more than the machine has.
    """
    if not isinstance(frame, np.ndarray) or frame.ndim < 2 or frame.shape[0] * frame.shape[1] <= _UNCHECKED_PX:
        return
    height, width = frame.shape[:2]
    channels = frame.shape[2] if frame.ndim == 3 else 1
    mode, instead = spec.geometry.mode, ""
    bytes_per_px = 1  # of the mask
    if mode == "native":
        bytes_per_px, instead = _LEAST_BYTES_PER_PX_NATIVE, "Use geometry 'tile' or 'resize', or a smaller frame"
    elif mode == "resize" and (channels != spec.channels or spec.window is not None):
        bytes_per_px += spec.channels
    need_mib, free_mib = height * width * bytes_per_px >> 20, available_mib()
    if free_mib is not None and need_mib > free_mib:
        found = f"A frame of {width}x{height} px needs at least {need_mib} MiB in one piece, {free_mib} MiB are free"
        raise FrameError(f"{found}. {instead or 'Use a smaller frame, or parts of it'}.")


def check_frame(frame: object, window: IntensityWindow | None = None) -> None:
    """Refuse anything but a uint8 (with a window uint16) (H, W), (H, W, 1) or (H, W, 3) array with at least one pixel.

    Raises:
        FrameError: With what was found and how to convert it.
    """
    if not isinstance(frame, np.ndarray):
        raise FrameError(f"A frame must be a numpy array, found {type(frame).__name__}. Read image files first.")
    if type(frame) is not np.ndarray and hasattr(frame, "mask"):  # numpy.ma, which would have to be imported to ask
        raise FrameError("A frame must be a plain array, found a masked one. Say what is there instead: filled(0).")
    _check_depth(frame.dtype, window)
    channels = frame.shape[2] if frame.ndim == 3 else 1
    if frame.ndim not in (2, 3) or channels not in (1, 3):
        remedy = "Drop the alpha channel: frame[:, :, :3]." if channels == 4 else "Pass (H, W) gray or (H, W, 3) RGB."
        raise FrameError(f"A frame must have the shape (H, W) or (H, W, 3), found {frame.shape}. {remedy}")
    if frame.size == 0:
        raise FrameError(f"The frame is empty: shape {frame.shape}. Check the camera or the file it came from.")


def _check_depth(found: np.dtype[Any], window: IntensityWindow | None) -> None:
    wanted = np.dtype(np.uint8 if window is None else np.uint16)
    if found == wanted:
        return
    if found.newbyteorder() == wanted:
        raise FrameError(f"A frame must be {wanted}, found it in another byte order. Use frame.astype(np.{wanted}).")
    if window is not None:
        expected = f"This model maps 16-bit frames by its window {list(window)}: a frame must be uint16, found {found}"
        raise FrameError(f"{expected}. Hand over the camera's own values, neither scaled nor cast.")
    if found == np.uint16:
        problem = "A frame must be uint8, found uint16, and this model has no window that maps 16-bit frames"
        raise FrameError(f"{problem}. Scale it to 0..255 as in training, or train with `window` in dataset.yaml.")
    raise FrameError(f"A frame must be uint8, found {found}. Scale it to 0..255 as in training, then cast.")


def _check_native(height: int, width: int, spec: InputSpec) -> None:
    fixed = (spec.geometry.height_px, spec.geometry.width_px)
    if fixed not in ((None, None), (height, width)):
        found = f"This model takes frames of {fixed[1]}x{fixed[0]} px (width x height), found {width}x{height}"
        raise FrameError(f"{found}. Use a variant with a free size, or geometry 'resize'.")
