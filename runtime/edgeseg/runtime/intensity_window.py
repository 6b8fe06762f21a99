"""The window of 16-bit images as a description and a manifest hold it; without numpy, for whoever only reads them."""

from __future__ import annotations

IntensityWindow = tuple[int, int]  # (lo, hi), 0 <= lo < hi <= HIGHEST

HIGHEST = 65535
WINDOW_FORM = f"two whole numbers [lo, hi] with 0 <= lo < hi <= {HIGHEST}: the values that become 0 and 255"


def read_window(value: object) -> IntensityWindow | None:
    """Returns a window as it stands in a file, a list of two whole numbers.

    Returns:
        (lo, hi), or None where it is no window; `WINDOW_FORM` says what one is.
    """
    if not isinstance(value, (list, tuple)) or len(value) != 2 or any(type(one) is not int for one in value):
        return None
    lo, hi = value
    return (lo, hi) if 0 <= lo < hi <= HIGHEST else None
