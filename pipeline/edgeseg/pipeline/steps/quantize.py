"""The step `ranges`: how the network is quantised. One collection, one plan, for every INT8 file.

It leaves `ranges.json`, which says for which network, and `network.safetensors` where equalized or corrected tensors
are quantised instead of the plain ones.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from edgeseg.compress.calibration.folder import recipe_folder
from edgeseg.compress.calibration.images import calibration_tensors, draw_images
from edgeseg.compress.calibration.modality import pixel_statistics
from edgeseg.compress.calibration.set import Draw, draw_balanced
from edgeseg.compress.int8.candidates import Candidate, Preparation
from edgeseg.compress.int8.fold import fold_batch_norm
from edgeseg.compress.int8.prepared import FILE, save_prepared
from edgeseg.compress.int8.stored_ranges import save_ranges
from edgeseg.export.spec_file import read_spec
from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.pipeline.steps.export import input_spec, source_model
from edgeseg.pipeline.steps.int8_judge import Judge
from edgeseg.pipeline.steps.int8_trials import Origin, Trials
from edgeseg.pipeline.steps.training import open_data
from edgeseg.runtime.data.dataset import DataSet
from edgeseg.train.models import SegmentationNet

Result = dict[str, Any]

RULE = (
    "of the candidates that val cannot tell from the best Dice, the one whose masks agree best with the FP32 file's; "
    "of equals the simplest"
)


def run_ranges(context: StepContext) -> Result:
    """Collect activation ranges once, and choose how they are cut and what is quantised.

    The images are of train, or of the folder that `quantize.folder` names.
    """
    data, section = open_data(context), context.recipe.quantize
    model = source_model(context)
    spec, folder = input_spec(context, data, model), recipe_folder(data, section.folder)
    drawn = draw_images(data, folder, section.images, context.recipe.train.seed, spec)
    context.progress(0.0, f"calibrating on {drawn.words}")
    images = list(calibration_tensors(data, drawn.images, spec))
    preparation = Preparation(fold_batch_norm(model), images)
    if section.method == "auto":
        chosen, trials = _choose(context, data, model, preparation)
    else:
        chosen, trials = Candidate(section.method, section.network), {"reason": "named in the recipe"}
    network, plan = preparation.make(chosen)
    save_ranges(context.folder.files, model, plan.ranges)
    if chosen.network != "plain":
        save_prepared(context.folder.files / FILE, preparation.plain, network)
    return {
        "method": chosen.method,
        "network": chosen.network,
        "n_images": plan.ranges.n_images,
        **drawn.to_json(),
        "pixels": pixel_statistics(images).to_json(),
        **trials,
        **preparation.facts(),
    }


def _choose(
    context: StepContext, data: DataSet, model: SegmentationNet, preparation: Preparation
) -> tuple[Candidate, Result]:
    """Try all candidates on val; without a FP32 file to write them from, min-max ranges of the plain network."""
    exported = context.results["onnx_fp32"]["result"]
    fallback = Candidate("minmax")
    if exported["status"] != "ok":
        return fallback, {"reason": f"nothing could be tried: onnx_fp32 is {exported['status']}", "candidates": []}
    scored = scored_samples(context, data)
    files = context.folders["onnx_fp32"].files
    origin = Origin(model, files / "model.onnx", read_spec(files), context.folder.work)
    judge = Judge.open(origin.source, origin.spec, data, scored.samples)
    trials = Trials(preparation, origin, judge, context.progress)
    taken = trials.run()
    return taken or fallback, {
        "reason": RULE if taken else "every candidate failed; see their reasons",
        "candidates": [trial.to_json() for trial in trials.done.values()],
        "fp32_val_dice": judge.fp32_dice,
        "scored_on": scored_on(data, scored),
    }


def scored_samples(context: StepContext, data: DataSet) -> Draw:
    """Val, or of a large one a seeded and class-balanced part: eight candidates are scored on it."""
    val, most = data.split("val"), context.recipe.quantize.score_images
    drawn = draw_balanced(val, data.classes, most, context.recipe.train.seed)
    return drawn if len(val) > most else dataclasses.replace(drawn, samples=tuple(val))


def scored_on(data: DataSet, drawn: Draw) -> Result:
    """For a record: what `scored_samples` has drawn."""
    return {
        "split": "val",
        "n_images": len(drawn.samples),
        "of": len(data.split("val")),
        "images": drawn.stems,
        "images_by_class": drawn.images_by_class,
    }
