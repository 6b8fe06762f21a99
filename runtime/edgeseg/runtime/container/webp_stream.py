"""Whether the data of a WebP are used up by its pixels: a whole one cannot do without its last bytes."""

from __future__ import annotations

import cv2
import numpy as np

from edgeseg.runtime.container.content import DamagedError

_CODINGS = (b"VP8 ", b"VP8L")
_TAIL = 16
_SMALLEST = 4 * _TAIL


def verify(data: bytes) -> None:
    """Decode a still picture again, without its last bytes.

    Raises:
        DamagedError: That makes no difference, so its codes have fallen out of step.
    """
    position = 12
    while position + 8 <= len(data) and data[position : position + 4] not in _CODINGS:
        position += 8 + (length := int.from_bytes(data[position + 4 : position + 8], "little")) + length % 2
    length = int.from_bytes(data[position + 4 : position + 8], "little") - _TAIL
    if length + _TAIL < _SMALLEST or position + 8 > len(data):
        return
    begin = position + 8
    body = b"WEBP" + data[position : position + 4] + length.to_bytes(4, "little") + data[begin : begin + length]
    body += b"\x00" * (length % 2)
    file = b"RIFF" + len(body).to_bytes(4, "little") + body
    if cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED) is not None:
        raise DamagedError("damaged, more data than pixels")
