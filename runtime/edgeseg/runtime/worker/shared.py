"""Memory that two processes see, without a name: nothing is left of it when both are gone, however they went."""

from __future__ import annotations

import mmap
import os
import tempfile
from math import prod

import numpy as np
import numpy.typing as npt

from edgeseg.runtime.errors import FrameError, WorkerError
from edgeseg.runtime.out_of_memory import available_mib

_PAGE = mmap.PAGESIZE


class SharedMemory:
    """A block that grows and never shrinks: pages that another process maps must not go.

    Args:
        descriptor: Of the block, as another process has passed it on; None makes a new one.

    Raises:
        WorkerError: If the system has no more to give.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        self.descriptor = _nameless() if descriptor is None else descriptor
        self._map: mmap.mmap | None = None

    def array(self, shape: tuple[int, ...], dtype: str, offset: int = 0) -> npt.NDArray[np.generic]:
        """The bytes from `offset` on as an array, a view; the block grows to hold it.

        Raises:
            FrameError: If memory runs out.
        """
        needed = offset + prod(shape) * np.dtype(dtype).itemsize
        if self._map is None or len(self._map) < needed:
            self._grow(needed)
        return np.ndarray(shape, dtype, self._map, offset)

    def close(self) -> None:
        """Give it back; views of it stay valid."""
        self._map = None
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _grow(self, needed: int) -> None:
        size = max(os.fstat(self.descriptor).st_size, -(-needed // _PAGE) * _PAGE)
        free_mib = available_mib()
        if free_mib is not None and needed >> 20 > free_mib:
            raise _too_large(size, f"{free_mib} MiB are free")
        try:
            # Taken at once: a page that is not there when it is first written to would end the process.
            os.posix_fallocate(self.descriptor, 0, size)
            self._map = mmap.mmap(self.descriptor, size)  # the last one goes with its last view
        except OSError as error:
            raise _too_large(size, str(error.strerror)) from error


def _too_large(size: int, why: str) -> FrameError:
    return FrameError(f"{size >> 20} MiB of memory are needed to hand over a frame ({why}). Use a smaller frame.")


def _nameless() -> int:
    try:
        if hasattr(os, "memfd_create"):
            return os.memfd_create("edgeseg")
        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())
    except OSError as error:  # mostly a program that has opened all files it may
        raise WorkerError(f"No memory can be shared with a worker process ({error.strerror}).") from error
