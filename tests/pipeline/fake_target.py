"""A target for tests of fits: milliseconds from multiply-accumulates and memory traffic, scores from torch itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from edgeseg.compress.search.budget import Budget
from edgeseg.compress.search.latency_table import LatencyTable
from edgeseg.compress.search.predictor import Predictor, macs, weights
from edgeseg.compress.search.probe import Layer, Measurement
from edgeseg.pipeline.plan.data_identity import data_identity
from edgeseg.pipeline.recipe.recipe import Recipe
from edgeseg.pipeline.search.journal import Journal
from edgeseg.pipeline.search.lab import Lab
from edgeseg.runtime.data.dataset import open_dataset
from edgeseg.runtime.errors import MeasureError
from edgeseg.runtime.score.evaluate import evaluate
from edgeseg.runtime.score.image_score import ImageScore
from edgeseg.train.models import SegmentationNet


class FakeProbe:
    """Deterministic; gone as soon as `gone` says so."""

    target = "x86-ort"
    identity = "fake | 1.0"
    depthwise_step = 16

    def __init__(self, size_px: tuple[int, int], gone: Callable[[], bool] = lambda: False) -> None:
        self.size_px, self.gone = size_px, gone
        self.measured = 0
        self.asked = 0

    def layers_ms(self, layers: Sequence[Layer]) -> list[float]:
        self.asked += len(layers)
        return [macs([layer]) / 1e6 + layer.out_channels * layer.height_px * layer.width_px / 1e6 for layer in layers]

    def size(self, model: SegmentationNet) -> int:
        from edgeseg.compress.search.layers import layers_of

        return int(weights(layers_of(model, self.size_px, self.depthwise_step))) + 5000

    def measure(self, model: SegmentationNet) -> Measurement:
        if self.gone():
            raise MeasureError("the target is gone; connect it and run the same command again")
        self.measured += 1
        from edgeseg.compress.search.layers import layers_of

        layers = layers_of(model, self.size_px, self.depthwise_step)
        infer_ms = 1.1 * sum(self.layers_ms(layers))
        return Measurement(0.2 + infer_ms, infer_ms, None, int(weights(layers)) + 5000, "energy is not metered")


def torch_scorer(data_root: Path, recipe: Recipe, split_file: Path, split: str = "val") -> Any:
    """Scores by torch, at the frame's own size."""
    data = open_dataset(data_root, split_file=split_file, seed=recipe.data.seed)

    def score(name: str, model: SegmentationNet) -> list[ImageScore]:
        @torch.no_grad()
        def segment(frame: np.ndarray) -> Any:
            x = torch.from_numpy(frame)[None, None].float() / 255.0
            logits = F.interpolate(model(x), size=frame.shape, mode="bilinear")
            return SimpleNamespace(mask=logits.argmax(1)[0].to(torch.uint8).numpy())

        return evaluate(segment, data.split(split), data.classes, color=data.color)

    return score


def fake_lab(
    root: Path,
    recipe: Recipe,
    data_root: Path,
    budget: Budget,
    probe: FakeProbe,
    student: SegmentationNet | None = None,
) -> Lab:
    split_file = root / "split.csv"
    predictor = Predictor(LatencyTable(probe, root / "table.json"), probe.size_px, budget.is_timed)
    counted = None if student is None else macs(predictor.layers(student.arch))
    return Lab(
        recipe=recipe,
        data_root=data_root,
        split_file=split_file,
        data_key=data_identity(open_dataset(data_root)),
        probe=probe,
        budget=budget,
        ceilings=budget.ceilings(10.0, counted),
        journal=Journal(root / "search"),
        predictor=predictor,
        score=torch_scorer(data_root, recipe, split_file),
        progress=lambda name, share, words: None,
    )
