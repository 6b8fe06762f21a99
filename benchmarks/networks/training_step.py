"""What a training step takes on this machine, and what it costs that trainings can be repeated, A B A B.

    python benchmarks/networks/training_step.py --turns 5

prints one JSON object: for a plain U-Net, the recipes' teacher (a U-Net with a Lite2 encoder) and a student that is
distilled from the U-Net's stored answers, all with one output and `bce+dice`, in float32 and under bfloat16 autocast,
the median milliseconds of forward pass, backward pass and update, and how many times as long a step takes that is the
same in every run. On a GPU if PyTorch has one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
import warnings
from typing import Any

import torch
from torch import Tensor

from edgeseg.compress.distill.distill import DistillationModule, DistillConfig
from edgeseg.train.config import LossConfig, TrainConfig
from edgeseg.train.lightning_module import SegmentationModule
from edgeseg.train.models import build_model
from edgeseg.train.models.efficient_unet import efficient_unet_arch
from edgeseg.train.models.lite_unet import lite_unet_arch
from edgeseg.train.models.unet import unet_arch

UNTIMED = 3


class Training:
    """A network, its optimiser and one batch of noise."""

    def __init__(self, module: SegmentationModule, n_images: int, size_px: int, device: str) -> None:
        self.module, self.device = module.to(device).train(), device
        module.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
        self.optimizer = torch.optim.AdamW(module.model.parameters(), lr=1e-4)
        generator = torch.Generator().manual_seed(0)
        pixels = torch.rand(n_images, 3, size_px, size_px, generator=generator)
        self.x = pixels.to(device).contiguous(memory_format=torch.channels_last)
        self.target = (pixels[:, 0] < 0.05).long().to(device)
        self.answer = torch.randn(n_images, 1, size_px, size_px, generator=generator).to(device)

    def step_ms(self, precision: str) -> float:
        """One step, all of it done when the clock is read [ms]."""
        start = time.perf_counter_ns()
        with torch.autocast(self.device, torch.bfloat16, enabled=precision == "bfloat16"):
            loss: Tensor = self.module.compute_loss(self.x, self.target, self.answer)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.device == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter_ns() - start) / 1e6


def trainings(size_px: int, device: str) -> dict[str, Training]:
    """The plain U-Net with 4 images a step, the others with 8, as the recipes have them."""
    config = TrainConfig(loss=LossConfig(terms="bce+dice"))
    teacher, asked = build_model(unet_arch(3, 1)), build_model(unet_arch(3, 1))
    student = build_model(efficient_unet_arch(3, 1, width=0.75))
    distilled = DistillationModule(student, asked, config, DistillConfig(), n_classes=2, total_steps=1)
    lite = build_model(lite_unet_arch(3, 1))
    return {
        "teacher": Training(SegmentationModule(teacher, config, 2, 1), 4, size_px, device),
        "lite_teacher": Training(SegmentationModule(lite, config, 2, 1), 8, size_px, device),
        "student": Training(distilled, 8, size_px, device),
    }


def measure(training: Training, precision: str, turns: int, steps: int) -> dict[str, Any]:
    """Median milliseconds of either kind, and the median of the turns' ratios."""
    found: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(turns):
        for repeatable, medians in found.items():
            # What `edgeseg.train.fit` and Lightning set.
            torch.use_deterministic_algorithms(repeatable, warn_only=True)
            torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
            times = [training.step_ms(precision) for _ in range(UNTIMED + steps)]
            medians.append(statistics.median(times[UNTIMED:]))
    ratios = [a / b for a, b in zip(found[True], found[False], strict=True)]
    return {
        "repeatable_ms": round(statistics.median(found[True]), 2),
        "not_repeatable_ms": round(statistics.median(found[False]), 2),
        "times_as_long": round(statistics.median(ratios), 3),
        "lowest_ratio": round(min(ratios), 3),
        "highest_ratio": round(max(ratios), 3),
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="side of the images [px] (default: 256)")
    parser.add_argument("--turns", type=int, default=5, help="turns of either kind (default: 5)")
    parser.add_argument("--threads", type=int, help="of the CPU (default: PyTorch's choice)")
    parser.add_argument("--steps", type=int, default=10, help="timed steps a turn (default: 10)")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is not deterministic without it
    warnings.filterwarnings("ignore", message=".*deterministic.*")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    where = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    found: dict[str, Any] = {"device": where, "torch": torch.__version__, "size_px": args.size}
    for name, training in trainings(args.size, device).items():
        found[name] = {kind: measure(training, kind, args.turns, args.steps) for kind in ("float32", "bfloat16")}
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
