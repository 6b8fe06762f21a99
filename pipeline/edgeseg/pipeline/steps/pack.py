"""The packing step: the scored files, byte for byte, into one bundle."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.export.pack import BundleInfo, VariantSource, pack
from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.pipeline.chain.provenance import data_summary, git_commit
from edgeseg.pipeline.plan.layout import VARIANT_ROWS, RowLayout, score_step
from edgeseg.pipeline.plan.results import Packed, Scored
from edgeseg.pipeline.plan.row import Row, load_rows
from edgeseg.pipeline.recipe.recipe import RecipeIdentity
from edgeseg.pipeline.steps.data import open_data
from edgeseg.pipeline.steps.start import pretrained
from edgeseg.runtime.data.dataset import DataSet, Sample, open_dataset, read_image
from edgeseg.runtime.data.ignored import IGNORED
from edgeseg.runtime.frame.intensity import spread
from edgeseg.runtime.opening.step_folder import model_in, read_spec
from edgeseg.runtime.score.evaluate import load_scores
from edgeseg.runtime.score.intervals import dice_interval
from edgeseg.runtime.score.seen import SeenImages
from edgeseg.runtime.spec.model_spec import ModelSpec
from edgeseg.train.synthetic.dataset import write_dataset

GOLDEN_FRAMES = 3


def run_bundle(context: StepContext) -> Packed:
    """Pack every variant whose accuracy holds; one refused for a target is kept for others and says so."""
    data = open_data(context)
    recipe, decided = context.section("recipe", RecipeIdentity), load_rows(context.folders["ship"].files)
    sources = [_source(context, row) for row in decided if row.status == "ok"]
    if not sources:
        return Packed("refused", "no variant holds the accuracy budgets, so there is nothing to pack")
    info = dataclasses.replace(bundle_info(recipe, data, sources[0].spec), pretrained=pretrained(context.results))
    path = context.folder.files / f"{recipe.name}.edgeseg"
    manifest = pack(path, info, sources, golden_frames(data, context.setting("seed")))
    return Packed("ok", None, path.name, manifest.bundle_id, tuple(source.name for source in sources))


def bundle_info(recipe: RecipeIdentity, data: DataSet, spec: ModelSpec) -> BundleInfo:
    """What a bundle says of the recipe and the images that it comes from; `spec` is of one of its variants."""
    return BundleInfo(
        name=recipe.name,
        bundle_version=recipe.bundle_version,
        previous_bundle=recipe.previous_bundle,
        intended_use=recipe.intended_use,
        input=spec.input,
        decision=spec.decision,
        data=(data_summary(data),),
        git_commit=git_commit(),
        recipe_sha256=recipe.sha256,
        seen=SeenImages.of_samples(data.samples, spec.input.color),
    )


def _source(context: StepContext, row: Row) -> VariantSource:
    assert row.variant is not None and row.sha256 is not None, "a variant that is ok has a file"
    layout = next(one for one in VARIANT_ROWS if one.name == row.name)
    files = context.folders[layout.file].files
    test = score_step(layout, "test")
    tested = context.result(test, Scored).summary
    assert tested is not None, "a variant that is ok was scored"
    interval = dice_interval(load_scores(context.folders[test].files / "scores.json"))
    return VariantSource(
        name=row.variant,
        model=model_in(files),
        spec=read_spec(files),
        accuracy=row.accuracy | {"test": {**tested, "dice_interval": interval}},
        sha256=row.sha256,
        measured=measured_of(row, layout, context.results["bench"]["result"].get("evidence", "device")),
        needs=layout.needs,
    )


def measured_of(row: Row, layout: RowLayout, evidence: str = "device") -> tuple[dict[str, Any], ...]:
    """What a bundle says of a variant by target: of the row's own, and of this machine where it is not timed here.

    Args:
        row: With latency.
        layout: Of the row.
        evidence: Of its times. Those of an emulator are left out, for a device chooses its variant by what stands here.
    """
    measured: dict[str, Any] = {"target": row.target, "status": "ok"}
    if row.target in row.refused_for:
        measured |= {"status": "refused", "reason": row.refused_for[row.target]}
    if row.latency_ms and evidence != "device":
        measured["evidence"] = evidence
    if row.latency_ms and evidence != "emulated":
        measured |= {f"{stage}_p50_ms": one["p50"] for stage, one in row.latency_ms.items() if one is not None}
    if layout.not_timed is None:
        return (measured,)
    # Else it would be chosen there before every variant that was measured and refused.
    here = f"x86-{row.target.partition('-')[2]}"
    return measured, {"target": here, "status": "not measured", "reason": layout.not_timed}


def golden_frames(data: DataSet, seed: int) -> list[np.ndarray]:
    """Frames stored with their expected masks: from test where the licence lets them travel, else drawn ones."""
    if data.may_redistribute:
        return [read_image(one.image, data.color, data.window) for one in _telling(data, data.split("test"))]
    with tempfile.TemporaryDirectory(prefix="edgeseg-golden-") as folder:
        drawn = Path(folder) / "drawn"
        write_dataset(drawn, n=2 * GOLDEN_FRAMES, seed=seed)
        opened = open_dataset(drawn)
        images = [read_image(one.image, data.color) for one in _telling(opened, opened.samples)]
        return [spread(image, data.window) for image in images]


def _telling(data: DataSet, samples: Iterable[Sample]) -> list[Sample]:
    """The first of them that show something: on an empty frame a network that finds nothing is right."""
    ordered = sorted(samples, key=lambda one: one.stem)
    showing = list(islice((one for one in ordered if _shows(data, one)), GOLDEN_FRAMES))
    return (showing + [one for one in ordered if one not in showing])[:GOLDEN_FRAMES]


def _shows(data: DataSet, sample: Sample) -> bool:
    truth = sample.read_truth(len(data.classes))
    return bool(((truth > 0) & (truth != IGNORED)).any())
