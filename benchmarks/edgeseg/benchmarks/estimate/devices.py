"""What devices could do at best: arithmetic, memory, the share of both that networks reach, and the price of a layer.

Figures of makers and of others' measurements, collected in 2026; none was measured by us. Dense, not sparse.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgeseg.benchmarks.machine.environment import read_device
from edgeseg.benchmarks.machine.others import BUSY, foreign_seconds, quietly
from edgeseg.runtime.errors import ConfigError, MeasureError

# Achieved shares of the peak, worst and best: convolutions on a CPU, and at batch 1 on a GPU's tensor cores.
_CPU, _GPU = (0.3, 0.7), (0.2, 0.45)
_MEMORY = (0.4, 0.7)
# Time between two layers, worst and best [s]: a thread pool's meeting, a kernel's launch.
_CPU_LAYER_S, _GPU_LAYER_S = (5e-6, 1e-6), (10e-6, 5e-6)


@dataclass(frozen=True)
class Peak:
    """One device.

    Attributes:
        gflops: Peak by precision: `fp32`, `fp16`, `int8` [GFLOP/s or GOP/s, one multiply-accumulate = 2]. What is
            missing is computed in the precision above it.
        gb_s: Peak of its memory [GB/s]; of this machine as fast as layers' tensors are copied, which caches hold.
        cores: Over which the arithmetic is spread; 1 of a GPU, which shares nothing.
        source: Where the figures are from.
        compute: Share of the arithmetic that convolutions reach, worst and best.
        memory: Share of the memory's peak likewise.
        layer_s: What each layer costs besides, worst and best [s].
    """

    gflops: dict[str, float]
    gb_s: float
    cores: int
    source: str
    compute: tuple[float, float] = _CPU
    memory: tuple[float, float] = _MEMORY
    layer_s: tuple[float, float] = _CPU_LAYER_S

    def rate(self, precision: str, threads: int) -> float:
        """Peak arithmetic of so many threads [FLOP/s or OP/s]."""
        chain = {"int8": ("int8", "fp32"), "fp16": ("fp16", "fp32")}.get(precision, ("fp32",))
        best = next(self.gflops[name] for name in chain if name in self.gflops)
        return best * 1e9 * min(threads, self.cores) / self.cores


def _gpu(fp32: float, fp16: float, int8: float | None, gb_s: float, source: str) -> Peak:
    rates = {"fp32": fp32, "fp16": fp16} | ({"int8": int8} if int8 else {})
    return Peak(rates, gb_s, 1, source, _GPU, _MEMORY, _GPU_LAYER_S)


DEVICES: dict[str, Peak] = {
    "pi-zero-2w": Peak({"fp32": 32, "int8": 64}, 3.6, 4, "4 Cortex-A53 at 1.0 GHz; not confirmed"),
    "pi4": Peak({"fp32": 57.6, "int8": 115}, 12.8, 4, "4 Cortex-A72 at 1.8 GHz; memory not confirmed"),
    "pi5": Peak({"fp32": 153.6, "fp16": 307, "int8": 614}, 17.1, 4, "4 Cortex-A76 at 2.4 GHz with dot products"),
    "jetson-nano": _gpu(236, 472, None, 25.6, "NVIDIA's data sheet; rates not confirmed"),
    "jetson-xavier-nx": _gpu(844, 6000, 12_000, 59.7, "not confirmed; deep-learning accelerators left out"),
    "jetson-orin-nano": _gpu(1280, 10_000, 20_000, 68, "reported"),
    "jetson-orin-nano-super": _gpu(2090, 16_700, 33_000, 102, "reported, at 1.02 GHz"),
    "jetson-orin-nx-16gb": _gpu(1880, 15_000, 50_000, 102.4, "not confirmed; INT8 with its accelerators"),
    "jetson-agx-orin-64gb": _gpu(5300, 42_500, 138_000, 204.8, "reported; INT8 with its accelerators"),
}
HERE = "here"
# What a layer of a small network reads, which lies in the processor's cache where that is large enough: memory is
# measured with as much, since copying more told of FP32 networks half the speed they have (`estimate_error.py`).
_LAYER_BYTES = 4 << 20


def peak_of(name: str, foreign: Callable[[], float | None] = foreign_seconds) -> Peak:
    """The device of a name; `here` is this machine, measured by a matrix product and a copy.

    Args:
        name: Of the device.
        foreign: CPU time that other programs took so far [s], as `others.foreign_seconds`.

    Raises:
        ConfigError: There is none of that name.
        MeasureError: Other programs kept this machine busy, so that its peak cannot be seen.
    """
    if name == HERE:
        peak, taken = quietly(_measured, foreign)
        if taken is not None and taken > BUSY:
            raise MeasureError(
                f"--device {HERE}: other programs took {taken:.0%} of this machine, so its peak cannot be seen: "
                "end them"
            )
        return peak
    if name not in DEVICES:
        raise ConfigError(f"--device {name}: there is no such device; there are {', '.join((*DEVICES, HERE))}")
    return DEVICES[name]


def _measured() -> Peak:
    """Numpy's matrix product is the best this machine's arithmetic is known to do, on all its cores."""
    side, device = 1024, read_device()
    a, b = (np.ones((side, side), np.float32) for _ in range(2))
    out = np.empty_like(a)
    source, target = (np.ones(_LAYER_BYTES, np.uint8) for _ in range(2))
    product_s = _best_s(lambda: np.matmul(a, b, out=out))
    copy_s = _best_s(lambda: np.copyto(target, source))
    fp32 = 2 * side**3 / product_s / 1e9
    dots = any("vnni" in flag or flag in ("asimddp", "i8mm") for flag in device.cpu_flags)
    rates = {"fp32": fp32, "int8": fp32 * (4 if dots else 1)}
    return Peak(rates, 2 * source.nbytes / copy_s / 1e9, device.usable_cpus or 1, "measured: matrix product and copy")


def _best_s(work: Callable[[], object]) -> float:
    times = []
    for _ in range(8):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)
