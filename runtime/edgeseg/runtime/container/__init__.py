"""Image files by their content: what a file is, whether it is whole, and how its pixels are coded.

One file a container. `look` reads headers and what else costs next to nothing; `decode` gives the pixels; `verify` may
take as long as decoding does. None of them looks at the file's name.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from edgeseg.runtime.container import bmp, jpeg, jpeg_scan, png, tiff, tiff_strip, webp, webp_stream
from edgeseg.runtime.container.content import Content, DamagedError
from edgeseg.runtime.container.directory import is_tiff
from edgeseg.runtime.out_of_memory import available_mib

__all__ = ["Content", "DamagedError", "decode", "look", "verify"]

# Files that people take for one of ours, by their first bytes.
_FOREIGN = {
    b"GIF8": "a GIF",
    b"\x00\x00\x00\x0cjP": "JPEG 2000",
    b"\xff\x0a": "JPEG XL",
    b"\x76\x2f\x31\x01": "OpenEXR",
    b"%PDF": "a PDF",
    b"\x93NUMPY": "a numpy array",
    b"\x1f\x8b": "compressed with gzip",
    b"PK\x03\x04": "a zip archive",
    b"\x89HDF": "HDF5",
    b"<svg": "SVG",
    b"<!DO": "a web page",
    b"<htm": "a web page",
    b"version https://git-lfs": "a Git LFS pointer (`git lfs pull` gets the file)",
    b"/annex/objects/": "a git-annex pointer (`git annex get` gets the file)",
    **{b"P%d" % kind: "a PNM" for kind in range(1, 7)},
}


def look(data: bytes) -> Content:
    """Read what a file's bytes say about themselves.

    Args:
        data: The whole file, not empty.

    Raises:
        DamagedError: It is none of PNG, JPEG, BMP, TIFF and WebP, or not whole as far as its headers tell.
    """
    if data.startswith(png.SIGNATURE):
        return png.look(data)
    if data.startswith(jpeg.SIGNATURE):
        return jpeg.look(data)
    if data.startswith(bmp.SIGNATURE):
        return bmp.look(data)
    if is_tiff(data):
        return tiff.look(data)
    if webp.is_webp(data):
        return webp.look(data)
    raise DamagedError(f"{_foreign(data)}, not PNG, JPEG, BMP, TIFF or WebP")


def decode(data: bytes, content: Content) -> Any:
    """Decode a file as it is stored; of JPEGs alone the orientation is applied.

    Returns:
        What `cv2.imdecode` returns: (H, W), (H, W, 3) BGR or (H, W, 4) BGRA, or None.

    Raises:
        DamagedError: A JPEG's data end before its pixels do, or the pixels need more memory than the machine has.
        cv2.error: The frame is larger than OpenCV takes.
    """
    _check_size(content)
    if content.jpeg is not None:
        return jpeg_scan.decode(data, content.jpeg, cv2.IMREAD_ANYCOLOR)  # UNCHANGED ignores the orientation
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


def verify(data: bytes, content: Content) -> None:
    """Look for damage that decodes without a word, at the cost of decoding again.

    Raises:
        DamagedError: Compressed data are not used up exactly by the pixels, or a checksum in them is wrong. (`look`
            has checked those of PNG; uncompressed TIFF and BMP have nothing to check.)
    """
    if content.jpeg is not None:
        jpeg_scan.verify(data, content.jpeg)
    elif content.container == "TIFF":
        tiff_strip.verify(data)
    elif content.container == "WebP":
        webp_stream.verify(data)


def _check_size(content: Content) -> None:
    """Refuse what fills the machine: a few bytes may stand for as many pixels as OpenCV takes at most."""
    height, width = content.size_px
    need_mib, free_mib = height * width * (1 if content.bits <= 8 else 2) >> 20, available_mib()
    if free_mib is not None and need_mib > free_mib:
        found = f"too large: {width}x{height} pixels need at least {need_mib} MiB, {free_mib} MiB are free"
        raise DamagedError(found)


def _foreign(data: bytes) -> str:
    if data[4:8] == b"ftyp":
        return f"{data[8:12].decode('latin-1').strip().upper()} (as phones write it), by its content"
    if data[128:132] == b"DICM":
        return "DICOM, by its content"
    for signature, name in _FOREIGN.items():
        if data.startswith(signature):
            return f"{name}, by its content"
    return "no readable image"
