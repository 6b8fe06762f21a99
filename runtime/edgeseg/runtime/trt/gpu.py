"""The NVIDIA GPU of this machine, asked of its driver's library: Jetsons have no nvidia-smi."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import NamedTuple

LIBRARY = "libcuda.so.1"  # comes with the driver; the CUDA toolkit is not needed
ABSENT = "no NVIDIA GPU with its driver is here"
_MAJOR, _MINOR = 75, 76  # CUdevice_attribute: CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*


class Gpu(NamedTuple):
    """The first GPU.

    Attributes:
        name: As its driver calls it.
        capability: Compute capability, as `sm86`.
        cuda: Version of CUDA that the driver offers, as `12.6`.
    """

    name: str
    capability: str
    cuda: str


@lru_cache(maxsize=1)
def find_gpu() -> Gpu | None:
    """Return the first GPU, or None where there is no driver or no device."""
    try:
        cuda = ctypes.CDLL(LIBRARY)
    except OSError:
        return None
    device, number, name = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(256)
    if cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), 0):
        return None

    def asked(attribute: int) -> int:
        cuda.cuDeviceGetAttribute(ctypes.byref(number), attribute, device)
        return number.value

    cuda.cuDeviceGetName(name, len(name), device)
    capability = f"sm{asked(_MAJOR)}{asked(_MINOR)}"
    cuda.cuDriverGetVersion(ctypes.byref(number))
    return Gpu(name.value.decode(errors="replace"), capability, f"{number.value // 1000}.{number.value % 1000 // 10}")
