"""The measured choice of threads and precision for one training on this machine.

More threads are not always faster (on a busy machine two wait for each other), and bfloat16 is faster only where the
processor has instructions for it. So both are tried for a few steps, once; the answer is part of a run's identity.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Choice:
    """Threads and precision, with the milliseconds per step they were chosen by."""

    threads: int
    precision: str
    step_ms: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """As stored in the step's folder."""
        return asdict(self)


def choose(
    step: Callable[[], Tensor], model: nn.Module, *, threads: int | None = None, precision: str | None = None
) -> Choice:
    """Time training steps and return the fastest setting.

    Args:
        step: Computes the loss of one batch, on the device the model is on.
        model: Gradients are dropped after each step; weights are not changed.
        threads: Given by the user, or None to try one and all of this machine's.
        precision: `float32` or `bfloat16` given by the user, or None to try both.
    """
    available = len(os.sched_getaffinity(0))
    tried: dict[tuple[int, str], float] = {}
    counts = [threads] if threads else sorted({1, available})
    for kind in [precision] if precision else ["bfloat16", "float32"]:  # on one thread, which nobody waits for
        tried[(counts[0], kind)] = _time_step(step, model, counts[0], kind)
    best_kind = min(tried, key=lambda key: tried[key])[1]
    for count in counts[1:]:
        tried[(count, best_kind)] = _time_step(step, model, count, best_kind)
    best = min(tried, key=lambda key: tried[key])
    torch.set_num_threads(best[0])
    return Choice(best[0], best[1], {f"{count} threads, {kind}": round(ms, 1) for (count, kind), ms in tried.items()})


def _time_step(step: Callable[[], Tensor], model: nn.Module, threads: int, precision: str, repeats: int = 3) -> float:
    """Median milliseconds of a forward and backward pass, after one untimed."""
    torch.set_num_threads(threads)
    device = next(model.parameters()).device.type
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter_ns()
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
            loss = step()
        loss.backward()
        model.zero_grad(set_to_none=True)
        if device == "cuda":
            torch.cuda.synchronize()
        times.append((time.perf_counter_ns() - start) / 1e6)
    return sorted(times[1:])[repeats // 2]
