"""Anybody's ONNX file made one that our runtime runs: end, input and answers are looked at, none assumed."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime as ort

from edgeseg.export.adopt.adopted import Adopted
from edgeseg.export.adopt.entry import Entry, entries, first_that_runs, for_one_image, run
from edgeseg.export.adopt.feeding import Feeding
from edgeseg.export.adopt.raised import check_raised, masks_as_written, unheld_note
from edgeseg.export.adopt.scores import Foreign, find_scores, masks_of_images, spec_of
from edgeseg.export.foreign.cut import cut_at
from edgeseg.export.foreign.read import precision_of, read_as_written, read_foreign
from edgeseg.runtime.data.dataset import DataSet


def adopt(path: Path, data: DataSet, feeding: Feeding, output: str = "", *, float_only: bool = True) -> Adopted:
    """Read a foreign file and find out how to run it.

    Args:
        path: The file.
        data: Images and masks.
        feeding: What the file eats.
        output: The tensor that holds its answer; "" for its only output.
        float_only: Refuse files that are quantised or in 16-bit floats.

    Raises:
        ConfigError: If it is no segmentation network of one image input, does not fit the data, or makes other masks
            when its opset is raised.
    """
    whole = read_foreign(path, output, float_only=float_only)

    def attempt(entry: Entry, image: np.ndarray) -> None:
        images = np.concatenate([image] * (entry.batch or 1))
        run(whole, {entry.name: images}, [str(whole.graph.output[0].name)])

    choices = entries(whole, feeding, data.color, path.name)
    entry = first_that_runs(choices, attempt, feeding, f"onnxruntime {ort.__version__} cannot run {path.name}")
    feeding = replace(feeding, size_px=(entry.height_px, entry.width_px), dtype=entry.dtype)
    alone = for_one_image(whole, entry, feeding, path.name)
    foreign = Foreign(path, alone, partial(run, alone), entry, feeding, data)
    scores = find_scores(foreign)
    spec = replace(spec_of(foreign, scores), precision=precision_of(whole))
    masks = masks_of_images(foreign, scores, spec)
    if (written := read_as_written(path, output)) is not None:
        own = masks_as_written(written, foreign, scores, spec)
        if own is None:
            foreign = replace(foreign, notes=(unheld_note(written),))
        else:
            check_raised(masks, own, path.name)
            masks = own
    return Adopted(cut_at(alone, scores.ending.scores), whole, foreign, scores, spec, tuple(masks))
