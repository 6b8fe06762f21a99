"""NVIDIA GPUs by the driver's own library: the counter of energy (Volta on), else the power."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

from edgeseg.benchmarks.meters.contract import Meter, Quantity, Sensor
from edgeseg.runtime.errors import MeasureError

LIBRARY = "libnvidia-ml.so.1"
_RATE_HZ = 10.0
_NOT_SUPPORTED = 3


def find(root: Path, argument: str = "") -> Meter | None:
    """The GPU of a number, 0 by default.

    Args:
        root: Means nothing here.
        argument: The GPU's number as `nvidia-smi` counts.

    Raises:
        MeasureError: The library is there and its driver does not answer, or has no such GPU.
    """
    del root
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        return None
    _call(library, "nvmlInit_v2")
    gpu = ctypes.c_void_p()
    if not (argument or "0").isdigit():
        raise MeasureError(f"--meter nvml:{argument}: give the GPU's number, as nvidia-smi counts")
    _call(library, "nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(int(argument or 0)), ctypes.byref(gpu))
    name = ctypes.create_string_buffer(96)
    _call(library, "nvmlDeviceGetName", gpu, name, ctypes.c_uint(96))
    energy, power = ctypes.c_ulonglong(), ctypes.c_uint()
    quantity: Quantity = "energy_j"
    if _supports(library, "nvmlDeviceGetTotalEnergyConsumption", gpu, energy):
        ask, value = "nvmlDeviceGetTotalEnergyConsumption", energy
    else:
        ask, value, quantity = "nvmlDeviceGetPowerUsage", power, "power_w"  # type: ignore[assignment]
        _call(library, ask, gpu, ctypes.byref(value))

    def read() -> float:
        code = getattr(library, ask)(gpu, ctypes.byref(value))
        if code:
            raise OSError(f"{ask} answered {code}")
        return value.value / 1e3

    sensor = Sensor(
        "nvml",
        f"NVML, {name.value.decode(errors='replace')}",
        (f"GPU {argument or 0}",),
        "the whole GPU board; the processor that feeds it is not in it",
        quantity,
        _RATE_HZ,
        None,
        "NVIDIA states 5 % of the power drawn, or 5 W" if quantity == "power_w" else "NVIDIA states no error",
    )
    return Meter(sensor, read, library.nvmlShutdown)


def _supports(library: Any, function: str, gpu: ctypes.c_void_p, value: Any) -> bool:
    code = getattr(library, function)(gpu, ctypes.byref(value))
    if code not in (0, _NOT_SUPPORTED):
        raise MeasureError(f"NVIDIA's driver answered {function} with {code}: does nvidia-smi work?")
    return bool(code == 0)


def _call(library: Any, function: str, *arguments: Any) -> None:
    code = getattr(library, function)(*arguments)
    if code:
        raise MeasureError(f"NVIDIA's driver answered {function} with {code}: does nvidia-smi show this GPU?")
