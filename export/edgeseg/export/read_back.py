"""What a quantised file says, held against the plan it was written from: a file that is not the plan's must not ship.

The readers of single formats are beside this file; each returns the `Numbers` of a file, and of a plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgeseg.compress.int8.plan import Affine
from edgeseg.runtime.errors import ExportError

# Relative. A kernel's scales pass through another package's float32 arithmetic; activations' must be equal.
_KERNEL_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Numbers:
    """The numbers of a quantised file, by the names of tensors in its FP32 file.

    Attributes:
        affines: Every scale and zero point that a tensor is rounded with.
        integer: By operator, named by its result: whether it is computed in integers.
        kernels: Likewise: scale of each output channel of its kernel, float32 (channels,).
    """

    affines: Mapping[str, frozenset[Affine]]
    integer: Mapping[str, bool]
    kernels: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class ReadBack:
    """What was read and found equal.

    Attributes:
        n_tensors: Activations with a scale.
        n_kernels: Kernels with their scales per channel.
        n_float: Operators that could have integers and are computed in float.
    """

    n_tensors: int
    n_kernels: int
    n_float: int


def hold_against(file: str, found: Numbers, planned: Numbers, keys: Mapping[str, tuple[str, ...]]) -> ReadBack:
    """Compare a file with its plan.

    Args:
        file: Its name, for messages.
        found: As read.
        planned: As the plan and the file's format want it.
        keys: Operations of the network by tensor, for messages.

    Raises:
        ExportError: At the first difference; names the tensor, what was found and what the plan says.
    """

    def refuse(name: str, is_: str, planned_: str) -> ExportError:
        operation = f" ({', '.join(keys[name])})" if name in keys else ""
        return ExportError(
            f"{file} is not the plan's: {name}{operation} {is_}; the plan says {planned_}. "
            "Write it again from the plan it is to ship with."
        )

    for name, wanted in planned.integer.items():
        if found.integer.get(name) != wanted:
            kinds = {True: "integers", False: "float", None: "nothing the file has"}
            raise refuse(name, f"is computed in {kinds[found.integer.get(name)]}", kinds[wanted])
    for name, affines in found.affines.items():
        allowed = planned.affines.get(name, frozenset())
        for affine in affines - allowed:
            raise refuse(name, f"has {_text(affine)}", " or ".join(map(_text, allowed)) or "nothing about it")
    for name, scales in planned.kernels.items():
        kernel = found.kernels.get(name)
        if kernel is None or kernel.shape != scales.shape:
            has = "no kernel scales" if kernel is None else f"a kernel of {kernel.size} scales"
            raise refuse(name, f"has {has}", f"{scales.size}")
        off = np.abs(kernel / scales - 1)
        if not (off <= _KERNEL_TOLERANCE).all():  # so that NaN is a fault
            at = int(np.nanargmax(np.where(np.isnan(off), np.inf, off)))
            raise refuse(name, f"has the kernel scale {kernel[at]:.9g} in channel {at}", f"{scales[at]:.9g}")
    return ReadBack(len(found.affines), len(found.kernels), sum(not its for its in found.integer.values()))


def _text(affine: Affine) -> str:
    return f"scale {affine.scale:.9g}, zero point {affine.zero_point}"
