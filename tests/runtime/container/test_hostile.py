"""A few bytes that stand for very many: refused at once, in little memory, whatever they claim to be."""

from __future__ import annotations

import resource
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from time import process_time

import cv2
import numpy as np
import pytest

from edgeseg.runtime import container
from edgeseg.runtime.container import DamagedError
from edgeseg.runtime.errors import BundleError
from edgeseg.runtime.golden import decode_png

from .image_files import coded, picture, tiff

GRAY = picture((64, 96))


def read(data: bytes) -> object:
    content = container.look(data)
    pixels = container.decode(data, content)
    container.verify(data, content)
    return pixels


def directory(entries: list[tuple[int, int, int, int]], following: int = 0) -> bytes:
    """A TIFF directory of (tag, kind, count, value)."""
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<H", len(entries)) + packed + struct.pack("<I", following)


def overlapping_values() -> bytes:
    """Each of many tags has the whole file as its value."""
    size = 12 * 20_000
    return b"II*\0" + struct.pack("<I", 8) + directory([(tag, 1, size, 0) for tag in range(1, 20_001)])


def overlapping_directories() -> bytes:
    """One directory in every few bytes, and in each the whole rest."""
    n = 6000
    body = b"".join(struct.pack("<HI", 2000, 8 + 6 * (k + 1)) for k in range(n))
    # Read as a directory of 2,000 entries, whose chain goes on where its bytes happen to point.
    return b"II*\0" + struct.pack("<I", 8) + body + bytes(30_000)


def overlapping_strips() -> bytes:
    """The same LZW strip again and again."""
    strip = cv2.imencode(".tiff", GRAY, [cv2.IMWRITE_TIFF_COMPRESSION, 5])[1].tobytes()[8:2000]
    n = 3000
    at = 8 + len(strip)
    arrays = struct.pack(f"<{n}I", *[8] * n) + struct.pack(f"<{n}I", *[len(strip)] * n)
    tags = [(256, 4, 1, 64), (257, 4, 1, n), (258, 4, 1, 8), (259, 4, 1, 5), (262, 4, 1, 1)]
    tags += [(273, 4, n, at), (277, 4, 1, 1), (278, 4, 1, 1), (279, 4, n, at + 4 * n)]
    return b"II*\0" + struct.pack("<I", at + 8 * n) + strip + arrays + directory(tags)


def inflating_strip() -> bytes:
    """A strip of 64 KB that becomes 64 MB."""
    return tiff(GRAY, data=zlib.compress(bytes(64 << 20), 9), t259=8)


def bits_without_end() -> bytes:
    """A palette of 2^32 levels."""
    return tiff(GRAY, t258=0xFFFFFFFF, t262=3, t320=1)


def blank_jpeg(side: int) -> bytes:
    """A JPEG that claims a large side: what the data do not say becomes gray."""
    data = bytearray(coded(".jpg", GRAY))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", side, side)
    return bytes(data)


def many_scans() -> bytes:
    """A progressive JPEG whose last scan comes a thousand times."""
    data = coded(".jpg", GRAY, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * 1000 + data[-2:]


def many_tables() -> bytes:
    """A JPEG with a megabyte of tables, which each restart interval would be checked with."""
    data = coded(".jpg", GRAY, cv2.IMWRITE_JPEG_RST_INTERVAL, 1)
    at = data.index(b"\xff\xdb")
    table = data[at : at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")]
    return data[:at] + table * 15_000 + data[at:]


def no_factors() -> bytes:
    data = bytearray(coded(".jpg", GRAY))
    data[data.index(b"\xff\xc0") + 11] = 0x10
    return bytes(data)


def too_many_channels() -> bytes:
    data = bytearray(coded(".jpg", GRAY))
    data[data.index(b"\xff\xc0") + 9] = 255
    return bytes(data)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "values": overlapping_values,
    "directories": overlapping_directories,
    "strips": overlapping_strips,
    "deflate": inflating_strip,
    "bits": bits_without_end,
    "jpeg": lambda: blank_jpeg(20_000),
    "scans": many_scans,
    "tables": many_tables,
    "factors": no_factors,
    "channels": too_many_channels,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_it_takes_little_time_and_memory(kind: str) -> None:
    data = HOSTILE[kind]()
    tracemalloc.start()
    began, refused = process_time(), False
    try:
        read(data)
    except DamagedError:
        refused = True
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 16 << 20
    assert process_time() - began < 10  # seconds of the processor, for what took minutes, or all memory
    assert refused == (kind != "deflate")  # whose pixels are all there, before the rest


def test_a_picture_larger_than_memory_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = coded(".png", np.zeros((4000, 4000), np.uint8))
    assert len(data) < 100_000
    monkeypatch.setattr(container, "available_mib", lambda: 10)
    with pytest.raises(DamagedError, match="4000x4000 pixels need at least 15 MiB, 10 MiB are free"):
        read(data)
    monkeypatch.setattr(container, "available_mib", lambda: None)
    read(data)


def test_a_golden_picture_is_looked_at_before_it_is_decoded() -> None:
    data = bytearray(coded(".png", GRAY))
    at = data.index(b"IDAT")
    data[at - 4 : at] = struct.pack(">I", 0x45000000)  # more than a gigabyte, which OpenCV asks for before it looks
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BundleError, match="golden/0"):
        decode_png(bytes(data), "golden/0.png")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB
