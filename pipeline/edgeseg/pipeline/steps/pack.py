"""The packing step: the scored files, byte for byte, into one bundle."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.benchmarks.result_file import read_result
from edgeseg.export.pack import BundleInfo, VariantSource, pack
from edgeseg.export.spec_file import model_file, read_spec
from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.pipeline.chain.provenance import data_summary, git_commit
from edgeseg.pipeline.plan.gates import Row
from edgeseg.pipeline.plan.layout import VARIANT_ROWS
from edgeseg.pipeline.plan.rows import add_latency, model_row, parent_file_of
from edgeseg.pipeline.recipe.recipe import Recipe
from edgeseg.runtime.data.dataset import DataSet, open_dataset, read_image
from edgeseg.runtime.frame.intensity import spread
from edgeseg.runtime.model_spec import ModelSpec
from edgeseg.runtime.score.seen import SeenImages
from edgeseg.train.synthetic import write_dataset

GOLDEN_FRAMES = 3


def run_bundle(context: StepContext) -> dict[str, Any]:
    """Pack every variant whose accuracy holds; one refused for a target is kept for others and says so."""
    data = open_dataset(context.data_root, split_file=context.split_file, seed=context.recipe.data.seed)
    bench = read_result(context.folders["bench"].files / "bench.json")
    sources = []
    for layout in VARIANT_ROWS:
        row = model_row(layout, context.results, context.folders, context.recipe.gates, ("val", "test"))
        row = add_latency(row, layout, bench, parent_file_of(layout, context.results), context.recipe.gates)
        if row["status"] == "ok":
            files = context.folders[layout.file].files
            sources.append(_source(row, files))
    if not sources:
        return {"status": "refused", "reason": "no variant holds the accuracy budgets, so there is nothing to pack"}
    info = bundle_info(context.recipe, data, sources[0].spec)
    path = context.folder.files / f"{context.recipe.name}.edgeseg"
    manifest = pack(path, info, sources, golden_frames(data, context.recipe.data.seed))
    variants = [source.name for source in sources]
    return {"status": "ok", "reason": None, "file": path.name, "bundle_id": manifest.bundle_id, "variants": variants}


def bundle_info(recipe: Recipe, data: DataSet, spec: ModelSpec) -> BundleInfo:
    """What a bundle says of the recipe and the images that it comes from; `spec` is of one of its variants."""
    return BundleInfo(
        name=recipe.name,
        bundle_version="1",
        intended_use=recipe.intended_use,
        input=spec.input,
        decision=spec.decision,
        data=(data_summary(data),),
        git_commit=git_commit(),
        recipe_sha256=recipe.sha256(),
        seen=SeenImages.of_samples(data.samples, spec.input.color),
    )


def _source(row: Row, files: Any) -> VariantSource:
    measured: dict[str, Any] = {"target": row["target"], "status": "ok"}
    refused = row.get("refused_for") or {}
    if row["target"] in refused:
        measured |= {"status": "refused", "reason": refused[row["target"]]}
    if row["latency_ms"]:
        measured |= {f"{stage}_p50_ms": row["latency_ms"][stage]["p50"] for stage in ("pre", "infer", "post", "total")}
    spec = read_spec(files)
    return VariantSource(
        name=row["variant"],
        model=model_file(files),
        spec=spec,
        accuracy=row["accuracy"],
        sha256=row["sha256"],
        measured=(measured,),
    )


def golden_frames(data: DataSet, seed: int) -> list[np.ndarray]:
    """Frames stored with their expected masks: from test where the licence lets them travel, else drawn ones."""
    if data.may_redistribute:
        samples = sorted(data.split("test"), key=lambda one: one.stem)[:GOLDEN_FRAMES]
        return [read_image(sample.image, data.color, data.window) for sample in samples]
    with tempfile.TemporaryDirectory(prefix="edgeseg-golden-") as folder:
        drawn = Path(folder) / "drawn"
        write_dataset(drawn, n=2 * GOLDEN_FRAMES, seed=seed)
        images = [read_image(path, data.color) for path in sorted((drawn / "images").iterdir())[:GOLDEN_FRAMES]]
        return [spread(image, data.window) for image in images]
