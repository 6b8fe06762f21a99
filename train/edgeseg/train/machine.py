"""Threads and precision of trainings, from the kind of machine alone.

Both decide weights: sums differ between thread counts, and bfloat16 rounds otherwise than float32. So no clock chooses
them, and the same recipe on the same kind of machine gives the same bits.
"""

from __future__ import annotations

from edgeseg.runtime.cores import usable_cores

_CUDA_BFLOAT16 = (8, 0)  # compute capability: Ampere, the first with bfloat16 tensor cores


def training_threads() -> int:
    """Return the cores that this process may run on."""
    return len(usable_cores())


def training_precision() -> str:
    """Return `bfloat16` on a GPU that has it natively, else `float32`.

    On a CPU with `avx512_bf16` a step of the student took longer in bfloat16: the backward pass of depthwise
    convolutions is slow there (`benchmarks/networks/training_step.py`, train/README.md).
    """
    import torch

    native = torch.cuda.is_available() and torch.cuda.get_device_capability() >= _CUDA_BFLOAT16
    return "bfloat16" if native else "float32"
