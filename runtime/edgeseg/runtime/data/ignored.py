"""Pixels that do not count: nobody could say what is there, so nothing is learnt from them and nothing is scored.

Which value marks them in the files of a data set is its own affair (`ignore` in dataset.yaml, often 255). In memory
it is always `IGNORED`, which is no class id, for there are at most 255 classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgeseg.runtime.faults import Fault, FaultError

UInt8 = npt.NDArray[np.uint8]

IGNORED = 255


def check_ignore(value: object, classes: Sequence[str], where: object) -> int | None:
    """Check the value that marks ignored pixels in mask files.

    Args:
        value: As given; None where no pixel is ignored.
        classes: Class names by id, background first.
        where: Named in the message.

    Raises:
        DataError: Not one whole number from 0 to 255, or the id of a class.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 255:
        remedy = "give the one value from 0 to 255 that marks pixels to leave out, such as ignore: 255, or remove it"
        raise FaultError(Fault(str(where), "bad description", f"ignore is {value!r}", remedy))
    if value < len(classes):
        message = f"ignore is {value}, which is the id of the class {classes[value]!r}"
        remedy = "give pixels to leave out a value of their own in the masks, such as 255, and write ignore: 255"
        raise FaultError(Fault(str(where), "bad description", message, remedy))
    return value


def as_background(mask: UInt8) -> UInt8:
    """A mask whose ignored pixels are background; the very array that was given where it has none.

    Args:
        mask: Class ids and `IGNORED`, uint8, any shape.
    """
    if mask.max(initial=0) != IGNORED:
        return mask
    return np.where(mask == IGNORED, np.uint8(0), mask)


def leave_out(mask: UInt8, truth: UInt8) -> UInt8:
    """A predicted mask, `IGNORED` where the truth is; the very array that was given where that is nowhere.

    Args:
        mask: Class ids, uint8, shape (H, W).
        truth: Class ids and `IGNORED`, uint8, shape (H, W).
    """
    if truth.max(initial=0) != IGNORED:
        return mask
    return np.where(truth == IGNORED, truth, mask)
