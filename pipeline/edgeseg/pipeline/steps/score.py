"""Scoring steps: an exported file through the Segmenter, over one split, with the masks kept."""

from __future__ import annotations

import os

import numpy as np

from edgeseg.export.mask_agreement import counted
from edgeseg.export.spec_file import model_file, read_spec
from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.pipeline.plan.results import Exported, Scored
from edgeseg.pipeline.steps.data import open_data
from edgeseg.runtime.png import encode_mask
from edgeseg.runtime.score.evaluate import evaluate, save_scores
from edgeseg.runtime.score.metrics import summarize
from edgeseg.runtime.segmenter import Result, Segmenter


def run_score(context: StepContext) -> Scored:
    """Score the file of step `settings.file` on split `settings.split`."""
    file, split = context.setting("file"), context.setting("split")
    exported = context.result(file, Exported)
    if exported.status != "ok":
        return Scored("not measured", exported.reason, None)
    data = open_data(context)
    samples = data.split(split)
    files = context.folders[file].files
    masks = context.folder.files / "masks"
    masks.mkdir()
    order = iter(samples)

    with Segmenter.from_file(model_file(files), read_spec(files), len(os.sched_getaffinity(0))) as segmenter:

        def keep(frame: np.ndarray) -> Result:
            result, sample = segmenter(frame), next(order)
            (masks / f"{sample.stem}.png").write_bytes(encode_mask(counted(result.mask, sample, data)))
            return result

        def report(done: int, total: int) -> None:
            context.progress(done / total, f"{file} on {split}, image {done}/{total}")

        scores = evaluate(keep, samples, data.classes, data.pixel_mm, report, color=data.color)
    save_scores(context.folder.files / "scores.json", scores)
    return Scored("ok", None, summarize(scores, data.classes))
