"""Whether the compressed strips or tiles of a TIFF hold their pixels exactly.

OpenCV does not ask libtiff for errors where it reads 8-bit pixels: a damaged strip becomes black or noise. Of 16-bit
pixels it does. So each strip is put into a 16-bit picture of its own, which must decode, while one of a few pixels more
must not.
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

from edgeseg.runtime.container import jpeg, jpeg_scan
from edgeseg.runtime.container.content import DamagedError, truncated
from edgeseg.runtime.container.directory import JPEG_TABLES, directories
from edgeseg.runtime.container.tiff import DEFLATE, JPEG, LZMA, LZW, PACKBITS, ZSTANDARD, compression_of, parts

_FILL_ORDER = 266
_WIDEST = 1 << 19
_MORE_PX = 8
_SMALLEST = 64  # bytes of pixels
_PIECE = 1 << 20


def verify(data: bytes) -> None:
    """Decode every compressed strip or tile of the first page again.

    Raises:
        DamagedError: One is damaged.
    """
    tags = next(directories(data))
    compression = compression_of(tags)
    for part in parts(tags):
        strip = data[part.begin : part.begin + part.stored]
        if compression in DEFLATE:
            _inflate(strip)
        elif compression == JPEG:
            _scan(strip, bytes(tags.get(JPEG_TABLES, ())))
        elif compression in (LZW, PACKBITS, LZMA, ZSTANDARD) and tags.get(_FILL_ORDER, (1,)) == (1,):
            _decode(strip, part.pixels, compression)


def _inflate(strip: bytes) -> None:
    """Deflate has a checksum of its own."""
    stream = zlib.decompressobj()
    try:
        # Piece by piece, and none kept: of a few bytes may come any number.
        while stream.decompress(strip, _PIECE) and not stream.eof:
            strip = stream.unconsumed_tail
    except zlib.error as error:
        raise DamagedError("damaged, a part of its pixels cannot be inflated") from error
    if not stream.eof:
        raise truncated()


def _scan(strip: bytes, tables: bytes) -> None:
    """Each strip is a JPEG, but for the tables that all of them share (TIFF technical note 2)."""
    whole = tables[:-2] + strip[2:] if tables.startswith(jpeg.SIGNATURE) else strip
    content = jpeg.look(whole)
    assert content.jpeg is not None
    with _quiet():
        jpeg_scan.decode(whole, content.jpeg, cv2.IMREAD_GRAYSCALE)
        jpeg_scan.verify(whole, content.jpeg)


def _decode(strip: bytes, size: int, compression: int) -> None:
    if size < _SMALLEST:
        return
    rows = -(-size // 2 // _WIDEST)
    width = size // 2 // rows
    if _picture(strip, width, rows, compression) is None:
        # A coding that this OpenCV does not know at all was refused before: it gave no pixels.
        raise DamagedError("damaged, a part of its pixels ends early")
    if _picture(strip, width + _MORE_PX, rows, compression) is not None:
        raise DamagedError("damaged, more data than pixels")


def _picture(strip: bytes, width: int, rows: int, compression: int) -> Any:
    """Decode a strip as the only one of a gray 16-bit TIFF."""
    tags = {256: width, 257: rows, 258: 16, 259: compression, 262: 1, 273: 8, 277: 1, 278: rows, 279: len(strip)}
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    body = strip + b"\x00" * (len(strip) % 2)
    head = b"II*\x00" + struct.pack("<I", 8 + len(body))
    file = head + body + struct.pack("<H", len(tags)) + directory + bytes(4)
    with _quiet():
        return cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """OpenCV reports to stderr that a strip does not decode, which of a whole one is what is expected here."""
    logging = getattr(cv2.utils, "logging", None)
    if logging is None:  # OpenCV 4.8
        yield
        return
    before = logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(before)
