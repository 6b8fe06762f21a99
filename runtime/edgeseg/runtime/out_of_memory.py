"""Memory that runs out on one frame: an error of that frame with a way out, whoever noticed it."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import cv2

from edgeseg.runtime.errors import FrameError

# OpenCV's own code for it is -4; what the standard library throws inside OpenCV arrives as text alone.
_OPENCV_CODE = -4
_WORDS = ("insufficient memory", "bad_alloc", "failed to allocate")


class FrameMemory:
    """`with FrameMemory(frame.shape):` turns a MemoryError, or OpenCV's, into a FrameError that names the size.

    Args:
        shape: (height, width, ...) of the frame [px].
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and is_out_of_memory(error):
            size = "x".join(str(side) for side in self._shape[1::-1])
            raise FrameError(
                f"Memory ran out on a frame of {size} px. Use geometry 'tile' or 'resize', or a smaller frame."
            ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception of numpy, OpenCV or Python says that memory ran out."""
    if isinstance(error, MemoryError):
        return True
    if not isinstance(error, cv2.error):
        return False
    return getattr(error, "code", 0) == _OPENCV_CODE or any(word in str(error).lower() for word in _WORDS)


def available_mib() -> int | None:
    """Return the memory Linux could hand out now, or None where it does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    kib = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    return None if kib is None else int(kib) >> 10
