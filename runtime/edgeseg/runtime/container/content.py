"""What the bytes of an image file say about themselves, whatever the file is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edgeseg.runtime.errors import DataError

if TYPE_CHECKING:
    from edgeseg.runtime.container.jpeg import Layout

Palette = Literal["ramp", "gray", "colours"]


@dataclass(frozen=True)
class Content:
    """Facts read from a file's headers; `rules` judges them alike for every container.

    Attributes:
        container: `PNG`, `JPEG`, `BMP`, `TIFF` or `WebP`.
        size_px: (height, width) as stored, before any orientation is applied.
        bits: Bits of a channel.
        loss: How the coding may have changed values, such as `JPEG-coded`; None where it is lossless.
        palette: What a palette makes of its numbers: `ramp` the very same gray levels, `gray` others,
            `colours`. None without a palette.
        white_is_zero: The larger the number, the darker the pixel (TIFF's photometric 0).
        inks: Name of a colour space that is not gray or RGB, such as `CMYK`; None otherwise.
        orientation: EXIF orientation, 1 to 8; 1 is as stored.
        frames: Pages or frames that are pictures of their own.
        jpeg: Where the parts of a JPEG lie; None for other containers.
    """

    container: str
    size_px: tuple[int, int]
    bits: int = 8
    loss: str | None = None
    palette: Palette | None = None
    white_is_zero: bool = False
    inks: str | None = None
    orientation: int = 1
    frames: int = 1
    jpeg: Layout | None = None


class DamagedError(DataError):
    """A file that is not whole. The file's name is added by `imagefile`.

    Args:
        found: What is wrong, as in "is ...".
        kind: The fault's kind, `truncated` or `unreadable`.
    """

    def __init__(self, found: str, kind: str = "unreadable") -> None:
        super().__init__(found, kind)
        self.found, self.kind = found, kind


def truncated() -> DamagedError:
    """The error of a file that ends before its content does."""
    return DamagedError("truncated, its end is missing", "truncated")


def palette_kind(entries: list[tuple[int, int, int]], bits: int) -> Palette:
    """Say what a palette makes of its numbers.

    Args:
        entries: Red, green and blue of each number, in [0, 255].
        bits: Bits of a number. One bit is a ramp where 0 is black and 1 is white.
    """
    top = (1 << bits) - 1
    if all(entry == (level, level, level) for level, entry in enumerate(entries)):
        return "ramp" if bits == 8 else "gray"
    if bits == 1 and entries == [(0, 0, 0), (255, 255, 255)]:
        return "ramp"
    return "gray" if all(len(set(entry)) == 1 for entry in entries[: top + 1]) else "colours"
