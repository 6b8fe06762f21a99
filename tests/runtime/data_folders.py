"""Small data-set folders for the tests of the data side, right or wrong in a stated way."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

CLASSES = ["background", "pit", "scratch"]


def frame(seed: int, shape: tuple[int, ...] = (24, 32)) -> np.ndarray:
    """A noisy picture; every seed gives another."""
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def truth(shape: tuple[int, int] = (24, 32)) -> np.ndarray:
    """A mask with all three classes."""
    mask = np.zeros(shape, np.uint8)
    mask[2:6, 2:8] = 1
    mask[12:14, 4:20] = 2
    return mask


def save(path: Path, pixels: np.ndarray) -> Path:
    """Write an image (RGB order) where it belongs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    codes = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    stored = cv2.cvtColor(pixels, codes[pixels.shape[2]]) if pixels.ndim == 3 else pixels
    assert cv2.imwrite(str(path), stored)
    return path


def write_folder(root: Path, meta: str | None = "default", yaml: str | None = None, n: int = 9) -> Path:
    """A data set without a fault: images 0 to n-1, two a group (the last alone), whole groups in each split."""
    for i in range(n):
        save(root / "images" / f"{i}.png", frame(i))
        save(root / "masks" / f"{i}.png", truth())
    if meta == "default":
        splits = ["train"] * (n - 4) + ["val"] * 2 + ["test"] * 2
        meta = "stem,split,group,machine\n" + "".join(
            f"{i},{split},g{(i + n % 2) // 2},M{i % 2}\n" for i, split in enumerate(splits)
        )
    if meta is not None:
        (root / "meta.csv").write_text(meta, encoding="utf-8")
    text = yaml if yaml is not None else f"name: tiny\nclasses: {CLASSES}\ncolor: gray\nlicence: CC0\n"
    (root / "dataset.yaml").write_text(text, encoding="utf-8")
    return root


def palette_png(indices: np.ndarray) -> bytes:
    """A palette PNG, which cv2 cannot write: PNG specification, chunks IHDR, PLTE, IDAT, IEND."""
    height, width = indices.shape
    rows = b"".join(b"\x00" + bytes(row) for row in indices.astype(np.uint8))
    colours = bytes(value for i in range(256) for value in (i, 255 - i, i // 2))
    return png(width, height, 8, 3, zlib.compress(rows), [(b"PLTE", colours)])


def gray_png(indices: np.ndarray, depth: int) -> bytes:
    """A gray PNG with ``depth`` (1, 2 or 4) bits a pixel."""
    height, width = indices.shape
    rows = b""
    for row in indices:
        bits = "".join(format(int(value), f"0{depth}b") for value in row)
        bits += "0" * (-len(bits) % 8)
        rows += b"\x00" + bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
    return png(width, height, depth, 0, zlib.compress(rows))


def png(
    width: int, height: int, depth: int, color_type: int, data: bytes, extra: list[tuple[bytes, bytes]] | None = None
) -> bytes:
    """A PNG file of these chunks."""
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    chunks = [(b"IHDR", header), *(extra or []), (b"IDAT", data), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body
