"""Reading one image or mask file, and refusing what would be read as something else.

`cv2` decodes what it can and says little: a damaged scan becomes half gray, a palette becomes colours, 2-bit class
ids are multiplied by 85. The file's content is therefore looked at first (`container`), then decoded; its name says
nothing.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.runtime import container
from edgeseg.runtime.container.rules import unfit
from edgeseg.runtime.data.class_ids import to_class_ids
from edgeseg.runtime.engine_message import condensed
from edgeseg.runtime.faults import Fault, FaultError
from edgeseg.runtime.spec.input_spec import IntensityWindow

Color = Literal["gray", "rgb"]
UInt8 = npt.NDArray[np.uint8]
Frame = npt.NDArray[Any]  # uint8, or uint16 where a window maps it

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".webp")  # No JPEG: its losses change class ids.

_WRITE_IDS = "write class ids (0, 1, 2, ...) into one channel and save an 8-bit gray PNG"
_LIMIT = re.compile(r"CV_IO_MAX_IMAGE_(?:WIDTH|HEIGHT|PIXELS)")


def read_image(path: Path | str, color: Color, window: IntensityWindow | None = None, *, thorough: bool = False) -> Any:
    """Read an image as the data set declares it: the frame that a camera would hand to the device.

    Gray files are repeated to three channels where `rgb` is asked for. Colour files are turned to luma (BT.601,
    as `cv2.COLOR_RGB2GRAY`) where `gray` is asked for; three equal channels give exactly that channel. A JPEG's
    EXIF orientation is applied. An alpha channel is dropped if it is opaque everywhere.

    Args:
        path: A PNG, JPEG, BMP, TIFF or WebP file, whatever its name.
        color: What the caller wants to get.
        window: The data set's window; its files have 16 bits a channel then, and 8 without.
        thorough: Also looks for damage that decodes without a word, which takes up to half as long again.

    Returns:
        uint8, shape (H, W) for `gray`, (H, W, 3) in RGB order for `rgb`; a new contiguous array. With a window
        uint16, as stored: `intensity.apply_window` maps it.

    Raises:
        DataError: The file is missing, empty, damaged, of another depth, partly transparent, or one that programs
            show differently (`container.rules`).
    """
    return to_color(decode(path, thorough=thorough), color, path, window)


def to_color(stored: Frame, color: Color, path: Path | str, window: IntensityWindow | None = None) -> Frame:
    """Turn what `decode` returned into gray (H, W) or RGB (H, W, 3), as `read_image` says.

    Raises:
        DataError: Partly transparent, or not of the depth that the window asks for; `path` is named in the message.
    """
    _check_depth(stored, path, window)
    pixels = _opaque(stored, path, "flatten it and save it as gray or RGB")
    if color == "gray":
        return pixels if pixels.ndim == 2 else np.ascontiguousarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY))
    code = cv2.COLOR_GRAY2RGB if pixels.ndim == 2 else cv2.COLOR_BGR2RGB
    return np.ascontiguousarray(cv2.cvtColor(pixels, code))


def read_mask(path: Path | str, n_classes: int, ignore: int | None = None) -> UInt8:
    """Read a mask as class ids.

    With two classes, a mask of 0 and 255 means 0 and 1. Three equal channels are read as one. Ids may be stored in more
    than 8 bits, as long as none is above 255.

    Args:
        path: A PNG, BMP, TIFF or lossless WebP file, one channel, whatever its name.
        n_classes: Number of classes, background included; ids run from 0 to `n_classes - 1`.
        ignore: The value in the file of pixels that do not count, or None. It becomes `ignored.IGNORED`.

    Returns:
        Class ids, uint8, shape (H, W); a new contiguous array.

    Raises:
        DataError: The file is missing, empty, damaged, coloured, has unknown ids, or is one whose ids may not be
            what was drawn (`container.rules`).
    """
    stored = read_stored_mask(path)
    return to_class_ids(stored, present_values(stored), n_classes, ignore, Path(path))


def read_stored_mask(path: Path | str) -> UInt8:
    """Read a mask's values as they are in the file; arguments and errors as for `read_mask`, but for unknown ids."""
    path = Path(path)
    pixels, content = _decode(path, is_mask=True, thorough=True)
    ids = _ids(_one_channel(pixels, path), path)
    return np.minimum(ids, 1) if content.bits == 1 else ids  # cv2 makes 255 of the 1 that is stored


def present_values(mask: UInt8) -> list[int]:
    """List the values that occur in `mask` (uint8, any shape), ascending."""
    return np.flatnonzero(cv2.calcHist([mask], [0], None, [256], [0, 256])).tolist()


def decode(path: Path | str, *, is_mask: bool = False, thorough: bool = False) -> Frame:
    """Decode a file as it is stored, after checking that it is whole and shows one thing only.

    Args:
        path: The file.
        is_mask: Whether class ids are wanted, which must come out as the numbers that were stored.
        thorough: As for `read_image`.

    Returns:
        Shape (H, W), (H, W, 3) in BGR order, or (H, W, 4) in BGRA order; uint8, or what is stored.

    Raises:
        DataError: The file is missing, empty, damaged, not decodable, or not fit for its use (`container.rules`).
    """
    return _decode(Path(path), is_mask=is_mask, thorough=thorough)[0]


def orientation(path: Path | str) -> int:
    """The EXIF orientation of a readable image file, 1 (as stored) to 8; of JPEGs it is applied when reading."""
    return container.look(_read_bytes(Path(path))).orientation


def _decode(path: Path, *, is_mask: bool, thorough: bool) -> tuple[Frame, container.Content]:
    """As `decode`, with what the file says about itself."""
    data = _read_bytes(path)
    try:
        content = container.look(data)
        fault = unfit(content, path, is_mask=is_mask)
        if fault is not None:
            raise FaultError(fault)
        pixels = container.decode(data, content)
        if thorough and pixels is not None:
            container.verify(data, content)
    except container.DamagedError as error:
        raise _refusal(path, error.kind, error.found, "copy or export the file again") from error
    except (cv2.error, MemoryError) as error:
        raise _too_large(path, error) from error
    if pixels is None:
        message = f"not a readable {content.container} (damaged, or of a rare kind)"
        raise _refusal(path, "unreadable", message, "export it again, e.g. as PNG")
    if pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4):
        raise _refusal(path, "bad channels", f"has {pixels.shape[2]} channels", "save it as gray or RGB")
    return np.ascontiguousarray(pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels), content


def _read_bytes(path: Path) -> bytes:
    try:
        if path.is_char_device():  # /dev/zero has no end, and a terminal waits for whoever types
            raise _refusal(path, "unreadable", "a device, no file", "name an image file or a pipe")
        data = path.read_bytes()
    except (OSError, MemoryError) as error:
        message = f"cannot be read ({error.strerror if isinstance(error, OSError) else 'out of memory'})"
        raise _refusal(path, "unreadable", message, "check its name, its rights and the disk") from error
    if not data:
        raise _refusal(path, "empty file", "the file has 0 bytes", "copy it again, or remove it with its pair and row")
    return data


def _check_depth(stored: Frame, path: Path | str, window: IntensityWindow | None) -> None:
    """Refuse an image whose depth is not the one that the window, or its absence, asks for."""
    if stored.dtype == (np.uint8 if window is None else np.uint16):
        return
    if stored.dtype == np.uint16:
        message = f"16 bits a channel (values {stored.min()} to {stored.max()}), but 8 are needed without a window"
        remedy = (
            "write `window: [lo, hi]` into dataset.yaml, the values that become 0 and 255 in every image, here and on "
            "the device: choose lo and hi so that what matters lies between them in all images"
        )
    elif window is not None and stored.dtype == np.uint8:
        message = f"8 bits a channel, but the window {list(window)} maps 16-bit values"
        remedy = "export it in 16 bits, as the camera gave it; without any 16-bit image remove the window"
    else:
        message = f"{stored.dtype} values, but whole numbers of 8 bits are needed, or of 16 with a window"
        remedy = "save it as unsigned 16-bit with one fixed shift and scale for all images, and give the window"
    raise _refusal(path, "not 8-bit" if window is None else "not 16-bit", message, remedy)


def _opaque(pixels: Frame, path: Path | str, remedy: str) -> Frame:
    """Drops an alpha channel that is full everywhere; `remedy` is for one that is not."""
    if pixels.ndim == 2 or pixels.shape[2] == 3:
        return pixels
    lowest, full = int(pixels[..., 3].min()), 255 if pixels.dtype == np.uint8 else 65535
    if lowest < full:
        message = f"partly transparent (smallest alpha {lowest}), and nothing says on which background"
        raise _refusal(path, "transparent", message, remedy)
    return np.ascontiguousarray(pixels[..., :3])


def _one_channel(pixels: Frame, path: Path) -> Frame:
    pixels = _opaque(pixels, path, f"{_WRITE_IDS}; what is drawn may be in the alpha channel alone")
    if pixels.ndim == 2:
        return pixels
    first = pixels[..., 0]
    if not (np.array_equal(first, pixels[..., 1]) and np.array_equal(first, pixels[..., 2])):
        remedy = f"{_WRITE_IDS}; `edgeseg data import --from color` does that where each colour is a class"
        raise _refusal(path, "coloured mask", "a mask in colours", remedy)
    return np.ascontiguousarray(first)


def _ids(stored: Frame, path: Path) -> UInt8:
    """Class ids as uint8, from whole numbers of any width."""
    if stored.dtype == np.uint8:
        return stored
    whole = np.issubdtype(stored.dtype, np.integer)
    if whole and stored.min() >= 0 and stored.max() <= 255:
        return stored.astype(np.uint8)
    found = f"{stored.dtype} values from {stored.min()} to {stored.max()}, but class ids are whole numbers up to 255"
    remedy = "replace each value by its class id (0, 1, 2, ...; a scaling would mix them up) and save an 8-bit gray PNG"
    raise _refusal(path, "not 8-bit", found, remedy)


def _too_large(path: Path, error: Exception) -> FaultError:
    limit = _LIMIT.search(str(error))
    if limit is None:
        message = f"too large or damaged to decode ({condensed(error, 300)})"
        return _refusal(path, "unreadable", message, "export it again, or cut it into smaller frames")
    message = "too large: more pixels, or a longer side, than OpenCV reads unless told otherwise"
    remedy = f"cut it into smaller frames, or set the environment variable OPEN{limit[0]} before the start"
    return _refusal(path, "unreadable", message, remedy)


def _refusal(path: Path | str, kind: str, message: str, remedy: str) -> FaultError:
    return FaultError(Fault(str(path), kind, message, remedy))
