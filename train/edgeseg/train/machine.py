"""Threads and precision of trainings, from the kind of machine alone.

Both decide weights: sums differ between thread counts, and bfloat16 rounds otherwise than float32. So no clock chooses
them, and the same recipe on the same kind of machine gives the same bits.
"""

from __future__ import annotations

from edgeseg.runtime.cores import usable_cores
from edgeseg.runtime.opening.selection import cpu_flags

# Instructions that multiply bfloat16. Without them a processor converts every value, which is slower than float32.
_CPU_BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}
_CUDA_BFLOAT16 = (8, 0)  # compute capability: Ampere, the first with bfloat16 tensor cores


def training_threads() -> int:
    """Return the cores that this process may run on."""
    return len(usable_cores())


def training_precision() -> str:
    """Return `bfloat16` where what trains here (the GPU, else the CPU) has it natively, else `float32`."""
    import torch

    if torch.cuda.is_available():
        native = torch.cuda.get_device_capability() >= _CUDA_BFLOAT16
    else:
        native = bool(cpu_flags() & _CPU_BFLOAT16)
    return "bfloat16" if native else "float32"
