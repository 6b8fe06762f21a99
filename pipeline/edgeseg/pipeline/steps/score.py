"""Scoring steps: an exported file through the Segmenter, over one split, with the masks kept."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from edgeseg.export.mask_agreement import counted
from edgeseg.export.spec_file import model_file, read_spec
from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.runtime.data.dataset import open_dataset
from edgeseg.runtime.png import encode_mask
from edgeseg.runtime.score.evaluate import evaluate, save_scores
from edgeseg.runtime.score.metrics import summarize
from edgeseg.runtime.segmenter import Result, Segmenter


def run_score(context: StepContext) -> dict[str, Any]:
    """Score the file of step `settings.file` on split `settings.split`."""
    settings = context.step.settings
    exported = context.results[settings["file"]]["result"]
    if exported["status"] != "ok":
        return {"status": "not measured", "reason": exported["reason"], "summary": None}
    data = open_dataset(context.data_root, split_file=context.split_file, seed=context.recipe.data.seed)
    samples = data.split(settings["split"])
    files = context.folders[settings["file"]].files
    masks = context.folder.files / "masks"
    masks.mkdir()
    order = iter(samples)

    with Segmenter.from_file(model_file(files), read_spec(files), len(os.sched_getaffinity(0))) as segmenter:

        def keep(frame: np.ndarray) -> Result:
            result, sample = segmenter(frame), next(order)
            (masks / f"{sample.stem}.png").write_bytes(encode_mask(counted(result.mask, sample, data)))
            return result

        def report(done: int, total: int) -> None:
            context.progress(done / total, f"{settings['file']} on {settings['split']}, image {done}/{total}")

        scores = evaluate(keep, samples, data.classes, data.pixel_mm, report, color=data.color)
    save_scores(context.folder.files / "scores.json", scores)
    return {"status": "ok", "reason": None, "summary": summarize(scores, data.classes)}
