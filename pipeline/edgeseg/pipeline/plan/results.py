"""What steps leave for others to read, as it stands in their records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Exported:
    """Of a step that writes a model file.

    Attributes:
        status: `ok`; else `failed` or `not measured`, without a file.
        reason: Why it is not `ok`.
        file: Its name among the step's files.
        bytes: Its size.
        sha256: Of the file, hex.
        backend: Engine that it is for.
        precision: Of the file.
        parity: How far it is from torch.
        read_back: Of a file that is not FP32, what was read from it and found as planned: `n_tensors n_kernels n_float`
            where activations are integers, the operators or kernels left in FP32, and why, where they are not; of typed
            FP16 also the names of its `casts`.
    """

    status: str
    reason: str | None = None
    file: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    backend: str | None = None
    precision: str | None = None
    parity: dict[str, Any] | None = None
    read_back: dict[str, Any] | None = None


@dataclass(frozen=True)
class Scored:
    """Of a file on a split: `summary` is that of `metrics.summarize`, or None where there was no file, for a reason.

    `dice_by_seed` has `seed dice_mean` of each training, where the network was trained several times.
    """

    status: str
    reason: str | None
    summary: dict[str, Any] | None
    dice_by_seed: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Choice:
    """Which student goes on.

    Attributes:
        student: Its step.
        reason: Why.
        teaches: Step of the network whose answers fine-tuning after the cut follows, where that comes next.
        status: `refused` where it has no network that could go on.
    """

    student: str
    reason: str
    teaches: str | None = None
    status: str = "ok"


@dataclass(frozen=True)
class Shipped:
    """What ships: `step variant target` are None where nothing does, for the reason.

    `over_budget` is what it exceeds of the recipe's budget by its own measurement, in words.
    """

    step: str | None
    variant: str | None
    target: str | None
    reason: str
    over_budget: tuple[str, ...] = ()


def gate_failed(shipped: Mapping[str, Any]) -> bool:
    """Whether nothing ships, or what does is beyond the budget; by what `Shipped` has left."""
    return shipped["step"] is None or bool(shipped.get("over_budget"))


@dataclass(frozen=True)
class Packed:
    """Of the bundle: `ok`, or `refused` for a reason, without a file."""

    status: str
    reason: str | None = None
    file: str | None = None
    bundle_id: str | None = None
    variants: tuple[str, ...] = ()
