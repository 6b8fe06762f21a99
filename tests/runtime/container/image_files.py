"""Image files of every container, whole or wrong in a stated way, made with cv2 and by hand."""

import struct

import cv2
import numpy as np


def picture(shape: tuple[int, ...] = (96, 160, 3), seed: int = 0) -> np.ndarray:
    """Blobs with a little noise, BGR or gray: what a scan codes with many different symbols."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (shape[0] // 8, shape[1] // 8, *shape[2:]), np.uint8)
    large = cv2.resize(small, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.clip(large.astype(int) + rng.integers(-6, 7, shape), 0, 255).astype(np.uint8)


def coded(suffix: str, pixels: np.ndarray, *params: int) -> bytes:
    """What cv2 writes."""
    done, content = cv2.imencode(suffix, pixels, list(params))
    assert done
    return content.tobytes()


def decodes(data: bytes) -> np.ndarray | None:
    """What cv2 makes of it, without any check."""
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def exif(orientation: int, order: str = "<") -> bytes:
    """The smallest EXIF block."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    return head + struct.pack(order + "HHHIHHI", 1, 274, 3, 1, orientation, 0, 0)


def jpeg_turned(data: bytes, orientation: int, order: str = "<") -> bytes:
    """A JPEG with an EXIF orientation."""
    block = b"Exif\x00\x00" + exif(orientation, order)
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:]


def webp_turned(data: bytes, orientation: int, size_px: tuple[int, int]) -> bytes:
    """A WebP file with an EXIF orientation: the same picture in the extended format."""
    sides = b"".join((side - 1).to_bytes(3, "little") for side in (size_px[1], size_px[0]))
    block = exif(orientation)
    extended = riff_chunk(b"VP8X", struct.pack("<I", 8) + sides)
    return riff(extended + data[12:] + riff_chunk(b"EXIF", block))


def riff_chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + b"\x00" * (len(content) % 2)


def riff(chunks: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks


def tiff(
    pixels: np.ndarray, *, order: str = "<", big: bool = False, pages: int = 1, data: bytes | None = None, **tags: int
) -> bytes:
    """A TIFF of one strip, uint8 or uint16 gray; ``tags`` overwrite or add, named t262=0 and the like.

    Args:
        pixels: (H, W).
        order: Byte order, as for `struct`.
        big: Whether it is a BigTIFF.
        pages: How often the same page is there.
        data: The strip, where it is not the pixels as they are.
        **tags: Tags of type LONG.
    """
    height, width = pixels.shape
    strip = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes() if data is None else data
    begin = 16 if big else 8
    fields = {256: width, 257: height, 258: 8 * pixels.itemsize, 259: 1, 262: 1, 273: begin, 277: 1, 278: height}
    fields |= {279: len(strip)} | {int(name[1:]): value for name, value in tags.items()}
    strip += b"\x00" * (len(strip) % 2)
    count, pointer = ("Q", "Q") if big else ("H", "I")
    size = struct.calcsize(order + count) + len(fields) * (20 if big else 12) + struct.calcsize(order + pointer)
    body = b""
    for page in range(pages):
        following = begin + len(strip) + (page + 1) * size if page + 1 < pages else 0
        body += struct.pack(order + count, len(fields))
        for tag, value in sorted(fields.items()):
            body += struct.pack(f"{order}HH{pointer}I", tag, 4, 1, value) + bytes(4 if big else 0)
        body += struct.pack(order + pointer, following)
    mark = b"II" if order == "<" else b"MM"
    head = struct.pack(order + "HHHQ", 43, 8, 0, begin + len(strip)) if big else b""
    head = head or struct.pack(order + "HI", 42, begin + len(strip))
    return mark + head + strip + body


def bmp(indices: np.ndarray, palette: list[tuple[int, int, int]], bits: int = 8) -> bytes:
    """A palette BMP of 1, 4 or 8 bits; the palette is RGB."""
    height, width = indices.shape
    rows = b""
    for row in indices[::-1]:
        digits = "".join(format(int(value), f"0{bits}b") for value in row)
        digits += "0" * (-len(digits) % 32)
        rows += bytes(int(digits[at : at + 8], 2) for at in range(0, len(digits), 8))
    table = b"".join(bytes((blue, green, red, 0)) for red, green, blue in palette)
    offset = 54 + len(table)
    head = struct.pack("<IHHI", offset + len(rows), 0, 0, offset)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, 0, len(rows), 0, 0, len(palette), 0)
    return b"BM" + head + info + table + rows
