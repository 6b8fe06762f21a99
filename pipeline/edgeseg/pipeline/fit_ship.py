"""From the winner's checkpoint to what ships: the INT8 file, scored, measured beside the teacher, and packed."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.harness import measure
from edgeseg.benchmarks.result_file import write_result
from edgeseg.benchmarks.speedup import speedup
from edgeseg.export.pack import BundleInfo, VariantSource, pack
from edgeseg.pipeline.fit_target import LocalTarget
from edgeseg.pipeline.provenance import data_summary, git_commit
from edgeseg.pipeline.recipe import Recipe
from edgeseg.pipeline.steps.packing import golden_frames
from edgeseg.pipeline.store import sha256_file
from edgeseg.runtime.atomic import write_json
from edgeseg.runtime.evaluate import save_scores
from edgeseg.runtime.metrics import summarize
from edgeseg.train.checkpoint import load_checkpoint
from edgeseg.train.models import SegmentationNet

VARIANTS = {"x86-ort": "onnx-int8-x86", "x86-litert": "tflite-int8"}


def ship(
    recipe: Recipe, target: LocalTarget, checkpoint: Path, teacher: SegmentationNet, folder: Path
) -> dict[str, Any]:
    """Export, score on val and (only now) on test, measure A B A B against the FP32 teacher, pack.

    Args:
        recipe: Of the run.
        target: Where it ships to.
        checkpoint: Of the winner.
        teacher: Unpruned, for the speed-up within the same engine.
        folder: Emptied; gets `checkpoint/`, the model file, `spec.json`, `bench.json`, scores and the bundle.

    Returns:
        `checkpoint bundle file bytes sha256 variant accuracy latency_ms speedup_vs_teacher`.

    Raises:
        ExportError: If the network or the teacher cannot be exported.
    """
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(checkpoint, folder / "checkpoint")
    model, _ = load_checkpoint(folder / "checkpoint")
    subject = target.probe.export(model, folder / "chosen")
    write_json(folder / "spec.json", subject.spec.to_json())
    reference = target.fp32.export(teacher, folder / "teacher")
    config = HarnessConfig(**dataclasses.asdict(recipe.bench))
    result = measure([reference, subject], target.probe.frame, config)
    write_result(result, folder / "bench.json")
    teacher_row, row = result.rows
    measured = row.step_values()
    accuracy = {split: _accuracy(target, folder, subject.model, subject.spec, split) for split in ("val", "test")}
    found = {
        "checkpoint": str(folder / "checkpoint"),
        "file": str(subject.model),
        "bytes": subject.model.stat().st_size,
        "sha256": sha256_file(subject.model),
        "variant": VARIANTS[target.probe.target],
        "accuracy": accuracy,
        "latency_ms": measured["latency_ms"],
        "teacher_bytes": reference.model.stat().st_size,
        "speedup_vs_teacher": None
        if "failed" in (row.status, teacher_row.status)
        else speedup(teacher_row.nested_ms(), row.nested_ms()).to_json(),
    }
    return found | {"bundle": str(_pack(recipe, target, folder, found, subject.spec))}


def _accuracy(target: LocalTarget, folder: Path, file: Path, spec: Any, split: str) -> dict[str, Any]:
    scores = target.score_file(file, spec, target.data.split(split))
    save_scores(folder / f"scores_{split}.json", scores)
    return summarize(scores, target.data.classes)


def _pack(recipe: Recipe, target: LocalTarget, folder: Path, found: dict[str, Any], spec: Any) -> Path:
    measured: dict[str, Any] = {"target": target.probe.target, "status": "ok"}
    if found["latency_ms"]:
        stages = {stage: found["latency_ms"][stage] for stage in ("pre", "infer", "post", "total")}
        measured |= {f"{stage}_p50_ms": value["p50"] for stage, value in stages.items() if value}
    source = VariantSource(
        name=found["variant"],
        model=Path(found["file"]),
        spec=spec,
        accuracy=found["accuracy"],
        sha256=found["sha256"],
        measured=(measured,),
    )
    info = BundleInfo(
        name=recipe.name,
        bundle_version="1",
        intended_use=recipe.intended_use,
        input=spec.input,
        decision=spec.decision,
        data=(data_summary(target.data),),
        git_commit=git_commit(),
        recipe_sha256=recipe.sha256(),
    )
    path = folder / f"{recipe.name}.edgeseg"
    pack(path, info, [source], golden_frames(target.data, recipe.data.seed))
    return path
