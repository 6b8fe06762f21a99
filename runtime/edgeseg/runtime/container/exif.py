"""The orientation in an EXIF block, which is a small TIFF wherever it is embedded."""

from __future__ import annotations

from edgeseg.runtime.container.content import DamagedError
from edgeseg.runtime.container.directory import first_directory

_ORIENTATION = 274
_PREFIX = b"Exif\x00\x00"


def orientation(block: bytes) -> int:
    """Read the orientation, 1 to 8; 1 (as stored) where there is none or the block is not readable.

    Args:
        block: An EXIF block, with or without the prefix that JPEGs give it; may be empty.
    """
    try:
        values = first_directory(block.removeprefix(_PREFIX)).get(_ORIENTATION, (1,))
    except DamagedError:
        return 1
    return values[0] if values and 1 <= values[0] <= 8 else 1
