"""The step `ranges`: how the network is quantised. One collection, one plan, for every INT8 file.

It leaves `ranges.json`, which says for which network, and `network.safetensors` where equalized or corrected tensors
are quantised instead of the plain ones.
"""

from __future__ import annotations

from typing import Any

from edgeseg.compress.calibration.folder import recipe_folder
from edgeseg.compress.calibration.images import calibration_tensors, draw_images
from edgeseg.compress.calibration.modality import pixel_statistics
from edgeseg.compress.int8.fold import fold_batch_norm
from edgeseg.compress.int8.prepare import prepare
from edgeseg.compress.int8.prepared import FILE, save_prepared
from edgeseg.compress.int8.stored_ranges import save_ranges
from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.pipeline.recipe.sections.export import RangesSection
from edgeseg.pipeline.steps.data import open_data
from edgeseg.pipeline.steps.export import failed_parent, input_spec, source_model
from edgeseg.runtime.errors import ConfigError

Result = dict[str, Any]


def run_ranges(context: StepContext) -> Result:
    """Collect activation ranges once, cut as the recipe says, and change the network's tensors where it says so.

    The images are of train, or of the folder that `quantize.folder` names.

    Raises:
        ConfigError: If that folder is no longer the one that the step is keyed by.
    """
    failed = failed_parent(context)
    if failed:
        return {"status": "not measured", "reason": failed}
    data, section = open_data(context), context.section("quantize", RangesSection)
    model = source_model(context)
    spec, folder = input_spec(context, data, model), recipe_folder(data, context.step.places.get("calibration"))
    if folder is not None and folder.sha256 != context.setting("folder_sha256"):
        raise ConfigError(
            f"{folder.named_by}: the images in {folder.path} have changed since this run began; give the command again"
        )
    drawn = draw_images(data, folder, section.images, context.setting("seed"), spec)
    context.progress(0.0, f"calibrating on {drawn.words}")
    images = list(calibration_tensors(data, drawn.images, spec))
    plain = fold_batch_norm(model)
    prepared = prepare(plain, images, section.method, section.network)
    ranges = prepared.plan.ranges
    save_ranges(context.folder.files, model, ranges)
    if section.network != "plain":
        save_prepared(context.folder.files / FILE, plain, prepared.network)
    return {
        "method": section.method,
        "network": section.network,
        "n_images": ranges.n_images,
        **drawn.to_json(),
        "pixels": pixel_statistics(images).to_json(),
        **prepared.facts(),
    }
