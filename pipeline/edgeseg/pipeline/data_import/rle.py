"""Run lengths of masks: runs of 0 and 1 in turn, the first of 0.

COCO goes down the columns, plainly or as the text that pycocotools writes (cocoapi, `maskApi.c`, `rleToString`); CVAT
goes along the rows of a box.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeseg.pipeline.data_import.source import Size, UInt8


def decode_counts(text: str) -> list[int]:
    """Run lengths from COCO's compressed text.

    Five bits a letter from the lowest on, the sixth says that more follow, the last one's fifth is the sign; from the
    fourth run on each is written as the difference to the one two before.

    Raises:
        ValueError: Not such a text.
    """
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        code = ord(letter) - 48
        if not 0 <= code < 64:
            raise ValueError(f"the letter {letter!r} is none of a compressed run length")
        value |= (code & 0x1F) << shift
        shift += 5
        if code & 0x20:
            continue
        if code & 0x10:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("the compressed run lengths end in the middle of one")
    return counts


def runs_to_mask(counts: Sequence[int], size_px: Size, *, by_columns: bool) -> UInt8:
    """Turn run lengths into a mask, uint8, 0 or 1, shape `size_px`.

    Raises:
        ValueError: They are no whole numbers from 0 on, or do not fill the size.
    """
    if any(not isinstance(count, int) or isinstance(count, bool) or count < 0 for count in counts):
        raise ValueError("run lengths are whole numbers from 0 on")
    height, width = size_px
    if sum(counts) != height * width:
        raise ValueError(f"the run lengths fill {sum(counts)} pixels, not the {height * width} of {width}x{height}")
    flat = np.repeat(np.arange(len(counts)) % 2, counts).astype(np.uint8)
    return np.ascontiguousarray(flat.reshape(width, height).T) if by_columns else flat.reshape(height, width)
