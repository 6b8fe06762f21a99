"""Reading one image or mask file, and refusing what would be read as something else.

``cv2`` decodes what it can and says little: a truncated file becomes a half-grey picture, a palette becomes
colours, 2-bit class ids are multiplied by 85. The container is therefore checked first, then decoded.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.runtime.engine_message import condensed
from edgeseg.runtime.faults import Fault, FaultError

Color = Literal["gray", "rgb"]
UInt8 = npt.NDArray[np.uint8]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff")  # No JPEG: its losses change class ids.

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_SIGNATURE = b"\xff\xd8"
_PNG_PALETTE = 3  # colour type in IHDR


def read_image(path: Path | str, color: Color) -> UInt8:
    """Reads an image as the data set declares it.

    Gray files are repeated to three channels where ``rgb`` is asked for. Colour files are turned to luma (BT.601,
    as ``cv2.COLOR_RGB2GRAY``) where ``gray`` is asked for; three equal channels give exactly that channel. A JPEG's
    EXIF orientation is applied. An alpha channel is dropped if it is opaque everywhere.

    Args:
        path: A PNG, JPEG, BMP or TIFF file with 8 bits a channel.
        color: What the caller wants to get.

    Returns:
        uint8, shape (H, W) for ``gray``, (H, W, 3) in RGB order for ``rgb``; a new contiguous array.

    Raises:
        DataError: The file is missing, empty, truncated, not 8-bit, a palette PNG, or partly transparent.
    """
    return to_color(decode(path), color, path)


def to_color(stored: UInt8, color: Color, path: Path | str) -> UInt8:
    """Turns what `decode` returned into gray (H, W) or RGB (H, W, 3), as `read_image` says.

    Raises:
        DataError: Partly transparent; ``path`` is named in the message.
    """
    pixels = _opaque(stored, path)
    if color == "gray":
        return pixels if pixels.ndim == 2 else _uint8(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY))
    code = cv2.COLOR_GRAY2RGB if pixels.ndim == 2 else cv2.COLOR_BGR2RGB
    return _uint8(cv2.cvtColor(pixels, code))


def read_mask(path: Path | str, n_classes: int) -> UInt8:
    """Reads a mask as class ids.

    With two classes, a mask of 0 and 255 means 0 and 1. Three equal channels are read as one.

    Args:
        path: A PNG, BMP or TIFF file, one channel, 8 bits.
        n_classes: Number of classes, background included; ids run from 0 to ``n_classes - 1``.

    Returns:
        Class ids, uint8, shape (H, W); a new contiguous array.

    Raises:
        DataError: The file is missing, empty, truncated, not 8-bit, coloured, a palette PNG, or has unknown ids.
    """
    path = Path(path)
    if path.suffix.lower() not in MASK_SUFFIXES:
        message = f"a mask as {path.suffix or 'a file without suffix'}, which may have lost class ids in compression"
        raise _refusal(path, "bad mask format", message, "write it from its source as an 8-bit gray PNG")
    mask = _one_channel(decode(path, is_mask=True), path)
    values = present_values(mask)
    if n_classes == 2 and values[-1] == 255 and set(values) <= {0, 255}:
        return mask & np.uint8(1)
    unknown = [value for value in values if value >= n_classes]
    if unknown:
        allowed = f"0 to {n_classes - 1}" + (", or 0 and 255" if n_classes == 2 else "")
        message = f"the mask holds the values {_listed(unknown)}, but {n_classes} classes have the ids {allowed}"
        raise _refusal(path, "unknown class id", message, "correct the mask, or the classes in dataset.yaml")
    return mask


def present_values(mask: UInt8) -> list[int]:
    """Lists the values that occur in ``mask`` (uint8, any shape), ascending."""
    return np.flatnonzero(cv2.calcHist([mask], [0], None, [256], [0, 256])).tolist()


def decode(path: Path | str, *, is_mask: bool = False) -> UInt8:
    """Decodes a file as it is stored, after checking that it is whole and plain 8-bit.

    Args:
        path: The file.
        is_mask: Also refuses the 1-, 2- and 4-bit gray PNGs whose values ``cv2`` would rescale.

    Returns:
        uint8, shape (H, W), (H, W, 3) in BGR order, or (H, W, 4) in BGRA order.

    Raises:
        DataError: The file is missing, empty, truncated, not decodable, not 8-bit, or a palette PNG.
    """
    path = Path(path)
    data = _read_bytes(path)
    _check_container(data, path, is_mask)
    # UNCHANGED keeps alpha but ignores EXIF orientation, which only JPEGs carry in practice.
    flags = cv2.IMREAD_ANYCOLOR if data.startswith(_JPEG_SIGNATURE) else cv2.IMREAD_UNCHANGED
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except (cv2.error, MemoryError) as error:
        message = f"too large or damaged to decode ({condensed(error, 300)})"
        raise _refusal(path, "unreadable", message, "export it again, or cut it into smaller frames") from error
    if pixels is None:
        message = "not a readable image (damaged, or not PNG, JPEG, BMP or TIFF)"
        raise _refusal(path, "unreadable", message, "export it again")
    if pixels.dtype != np.uint8:
        raise _not_8_bit(path, f"{pixels.dtype}")
    if pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4):
        raise _refusal(path, "bad channels", f"has {pixels.shape[2]} channels", "save it as gray or RGB")
    return _uint8(pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels)


def _read_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except (OSError, MemoryError) as error:
        message = f"cannot be read ({error.strerror if isinstance(error, OSError) else 'out of memory'})"
        raise _refusal(path, "unreadable", message, "check its name, its rights and the disk") from error
    if not data:
        raise _refusal(path, "empty file", "the file has 0 bytes", "copy it again, or remove it with its pair and row")
    return data


def _check_container(data: bytes, path: Path, is_mask: bool) -> None:
    if data.startswith(_PNG_SIGNATURE):
        _check_png(data, path, is_mask)
    elif data.startswith(_JPEG_SIGNATURE) and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
        # Inside a scan 0xFF is always followed by 0x00 or a restart marker, so the end marker is not found by chance.
        raise _truncated(path)


def _check_png(data: bytes, path: Path, is_mask: bool) -> None:
    """Walks the chunks (PNG specification, section 5) to the end, with their checksums."""
    position = len(_PNG_SIGNATURE)
    while True:
        if position + 12 > len(data):
            raise _truncated(path)
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise _truncated(path)
        if zlib.crc32(data[position + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            message = f"damaged, wrong checksum in its {kind.decode('latin-1')} chunk"
            raise _refusal(path, "unreadable", message, "copy or export the file again")
        if kind == b"IHDR":
            _check_png_header(depth=data[position + 16], color_type=data[position + 17], path=path, is_mask=is_mask)
        if kind == b"IEND":
            return
        position = end


def _check_png_header(depth: int, color_type: int, path: Path, is_mask: bool) -> None:
    if color_type == _PNG_PALETTE:
        message = "a palette PNG, whose values may be meant as colours or as numbers"
        open_it = "np.array(Image.open(f)), which keeps the numbers," if is_mask else "Image.open(f).convert('RGB')"
        raise _refusal(path, "palette", message, f"convert it, e.g. with PIL's {open_it} and save an 8-bit PNG")
    if depth == 16:
        raise _not_8_bit(path, "16-bit")
    if is_mask and depth in (2, 4):
        message = f"a {depth}-bit mask, whose ids would be rescaled"
        raise _refusal(path, "not 8-bit", message, "save it as an 8-bit gray PNG")


def _opaque(pixels: UInt8, path: Path | str) -> UInt8:
    """Drops an alpha channel that is 255 everywhere."""
    if pixels.ndim == 2 or pixels.shape[2] == 3:
        return pixels
    lowest = int(pixels[..., 3].min())
    if lowest < 255:
        message = f"partly transparent (smallest alpha {lowest}), and nothing says on which background"
        raise _refusal(path, "transparent", message, "flatten it and save it as gray or RGB")
    return _uint8(pixels[..., :3])


def _one_channel(pixels: UInt8, path: Path) -> UInt8:
    pixels = _opaque(pixels, path)
    if pixels.ndim == 2:
        return pixels
    first = pixels[..., 0]
    if not (np.array_equal(first, pixels[..., 1]) and np.array_equal(first, pixels[..., 2])):
        remedy = "write class ids (0, 1, 2, ...) into one channel and save an 8-bit gray PNG"
        raise _refusal(path, "coloured mask", "a mask in colours", remedy)
    return _uint8(first)


def _uint8(pixels: npt.ArrayLike) -> UInt8:
    return np.ascontiguousarray(pixels, dtype=np.uint8)


def _refusal(path: Path | str, kind: str, message: str, remedy: str) -> FaultError:
    return FaultError(Fault(str(path), kind, message, remedy))


def _truncated(path: Path) -> FaultError:
    return _refusal(path, "truncated", "truncated, its end is missing", "copy or export the file again")


def _not_8_bit(path: Path, found: str) -> FaultError:
    remedy = (
        "map the values to 0..255 with one fixed window for the whole data set (the device must do the same) "
        "and save it again"
    )
    return _refusal(path, "not 8-bit", f"{found}, but 8 bits a channel are needed", remedy)


def _listed(values: list[int]) -> str:
    return ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")
