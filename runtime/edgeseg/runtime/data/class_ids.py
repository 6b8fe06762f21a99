"""From the values that a mask file holds to class ids, and a clear refusal where they could mean two things."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeseg.runtime.data.ignored import IGNORED
from edgeseg.runtime.faults import Fault, FaultError

UInt8 = npt.NDArray[np.uint8]


def to_class_ids(stored: UInt8, values: Collection[int], n_classes: int, ignore: int | None, path: Path) -> UInt8:
    """Read stored values as class ids.

    With two classes, 0 and 255 mean 0 and 1, unless `ignore` is 255.

    Args:
        stored: As in the file, uint8, shape (H, W).
        values: Those that occur in it, ascending.
        n_classes: Number of classes, background included.
        ignore: The value of pixels that do not count, or None.
        path: Named in the message.

    Returns:
        Class ids from 0 to `n_classes - 1` and `IGNORED`, uint8, shape (H, W); `stored` itself where they are that.

    Raises:
        DataError: There are other values.
    """
    counted = [value for value in values if value != ignore]
    if not _readable(counted, n_classes):
        raise FaultError(_unknown(counted, n_classes, ignore, path))
    ids = stored & np.uint8(1) if n_classes == 2 and 255 in counted else stored
    if ignore is None or ignore == IGNORED or len(counted) == len(values):
        return ids
    return np.where(stored == np.uint8(ignore), np.uint8(IGNORED), ids)


def _readable(values: Collection[int], n_classes: int) -> bool:
    return all(value < n_classes for value in values) or (n_classes == 2 and set(values) <= {0, 255})


def _unknown(values: list[int], n_classes: int, ignore: int | None, path: Path) -> Fault:
    """What cannot be read, and, if that is a single value, what it may mean."""
    allowed = "0 and 1, or 0 and 255" if n_classes == 2 else f"0 to {n_classes - 1}"
    # That 255 is too much beside 1 is seen only where both are named.
    shown = values if n_classes == 2 else [value for value in values if value >= n_classes]
    message = f"the mask holds the values {_listed(shown)}, but {n_classes} classes have the ids {allowed}"
    return Fault(str(path), "unknown class id", *_advice(values, n_classes, ignore, message))


def _advice(values: list[int], n_classes: int, ignore: int | None, message: str) -> tuple[str, str]:
    """The message, and what to do: what is likely comes first, for to leave out what is a class loses it."""
    remedy = "correct the mask, or the classes in dataset.yaml"
    odd = [one for one in values if one >= n_classes and _readable([v for v in values if v != one], n_classes)]
    if ignore is not None:
        if odd:
            remedy += f"; one value alone can be left out: write it for {odd[-1]} too, if that marks such pixels"
        return f"{message} (and ignore is {ignore})", remedy
    if not odd:
        return message, remedy
    leave_out = f"if {odd[-1]} marks pixels to leave out, write ignore: {odd[-1]} in dataset.yaml"
    if odd[-1] == n_classes:
        cause = "add its class: the background is one, of id 0" if 0 in values else "subtract 1, as ids begin with 0"
        return message, f"if {odd[-1]} is foreground, {cause}; {leave_out}"
    if n_classes == 2 and (odd == [255] or len(values) == 2):
        return message, f"{leave_out}; if it is foreground, write 1 in its place"
    return message, f"{leave_out}; else {remedy}"


def _listed(values: list[int]) -> str:
    return ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")
