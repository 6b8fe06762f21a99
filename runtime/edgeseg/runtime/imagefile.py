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
from edgeseg.runtime.errors import DataError

Color = Literal["gray", "rgb"]
UInt8 = npt.NDArray[np.uint8]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff")  # No JPEG: its losses change class ids.

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
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
    pixels = _opaque(decode(path), path)
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
        raise DataError(f"{path}: {path.suffix} loses class ids in compression; save the mask as an 8-bit gray PNG")
    mask = _one_channel(decode(path, is_mask=True), path)
    values = present_values(mask)
    if n_classes == 2 and values[-1] == 255 and set(values) <= {0, 255}:
        return mask & np.uint8(1)
    unknown = [value for value in values if value >= n_classes]
    if unknown:
        raise DataError(
            f"{path}: the mask holds the values {_listed(unknown)}, but there are {n_classes} classes "
            f"(ids 0 to {n_classes - 1}{', or 0 and 255' if n_classes == 2 else ''}); "
            "correct the mask, or the classes in dataset.yaml"
        )
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
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the name and its rights") from error
    if not data:
        raise DataError(f"{path}: the file has 0 bytes; copy it again or remove it with its mask and meta.csv row")
    _check_container(data, path, is_mask)
    # UNCHANGED keeps alpha but ignores EXIF orientation, which only JPEGs carry in practice.
    flags = cv2.IMREAD_ANYCOLOR if data.startswith(b"\xff\xd8") else cv2.IMREAD_UNCHANGED
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except (cv2.error, MemoryError) as error:
        raise DataError(f"{path}: too large or damaged to decode ({str(error).strip()[:120]})") from error
    if pixels is None:
        raise DataError(f"{path}: not a readable image (damaged, or not PNG, JPEG, BMP or TIFF); export it again")
    if pixels.dtype != np.uint8:
        raise _not_8_bit(path, f"{pixels.dtype}")
    if pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4):
        raise DataError(f"{path}: has {pixels.shape[2]} channels; save it as gray or RGB")
    return _uint8(pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels)


def _check_container(data: bytes, path: Path, is_mask: bool) -> None:
    if data.startswith(_PNG_SIGNATURE):
        _check_png(data, path, is_mask)
    elif data.startswith(b"\xff\xd8") and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
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
            raise DataError(f"{path}: damaged (wrong checksum in chunk {kind!r}); copy or export the file again")
        if kind == b"IHDR":
            _check_png_header(depth=data[position + 16], color_type=data[position + 17], path=path, is_mask=is_mask)
        if kind == b"IEND":
            return
        position = end


def _check_png_header(depth: int, color_type: int, path: Path, is_mask: bool) -> None:
    if color_type == _PNG_PALETTE:
        raise DataError(
            f"{path}: a palette PNG, whose values may be meant as colours or as numbers; convert it, e.g. "
            + ("numpy.array(PIL.Image.open(f)) keeps the numbers" if is_mask else "PIL.Image.open(f).convert('RGB')")
            + ", then save that as an 8-bit PNG"
        )
    if depth == 16:
        raise _not_8_bit(path, "16-bit")
    if is_mask and depth in (2, 4):
        raise DataError(f"{path}: a {depth}-bit mask, whose ids would be rescaled; save it as an 8-bit gray PNG")


def _opaque(pixels: UInt8, path: Path | str) -> UInt8:
    """Drops an alpha channel that is 255 everywhere."""
    if pixels.ndim == 2 or pixels.shape[2] == 3:
        return pixels
    if int(pixels[..., 3].min()) < 255:
        raise DataError(
            f"{path}: partly transparent (smallest alpha {int(pixels[..., 3].min())}), and nothing says on which "
            "background; flatten it and save it as gray or RGB"
        )
    return _uint8(pixels[..., :3])


def _one_channel(pixels: UInt8, path: Path) -> UInt8:
    pixels = _opaque(pixels, path)
    if pixels.ndim == 2:
        return pixels
    first = pixels[..., 0]
    if not (np.array_equal(first, pixels[..., 1]) and np.array_equal(first, pixels[..., 2])):
        raise DataError(
            f"{path}: a mask in colours; write class ids (0, 1, 2, ...) into one channel and save 8-bit PNG"
        )
    return _uint8(first)


def _uint8(pixels: npt.ArrayLike) -> UInt8:
    return np.ascontiguousarray(pixels, dtype=np.uint8)


def _truncated(path: Path) -> DataError:
    return DataError(f"{path}: truncated, its end is missing; copy or export the file again")


def _not_8_bit(path: Path, found: str) -> DataError:
    return DataError(
        f"{path}: {found}, but 8 bits a channel are needed; map the values to 0..255 with one fixed window for the "
        "whole data set (the device must do the same) and save it again"
    )


def _listed(values: list[int]) -> str:
    return ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")
