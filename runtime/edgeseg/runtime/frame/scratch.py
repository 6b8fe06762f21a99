"""Memory kept from frame to frame for what is between a frame and its mask.

Handing out fresh pages is the kernel's work, and took half the time of a large frame. What is returned to a caller is
never in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass
class Scratch:
    """Arrays by name. Not safe to share between threads."""

    _memory: dict[str, np.ndarray] = field(default_factory=dict)
    _last: dict[str, np.ndarray] = field(default_factory=dict)

    def array(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> np.ndarray:
        """Return the array of this name with whatever is in it; new memory only where a larger one is asked for."""
        last = self._last.get(name)
        if last is not None and last.shape == shape and last.dtype == dtype:
            return last  # most frames are as large as the one before
        size = prod(shape)
        memory = self._memory.get(name)
        if memory is None or memory.size < size or memory.dtype != dtype:
            memory = self._memory[name] = np.empty(size, dtype)
        self._last[name] = memory[:size].reshape(shape)
        return self._last[name]

    def clear(self) -> None:
        """Give the memory back."""
        self._memory.clear()
        self._last.clear()
