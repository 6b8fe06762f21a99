"""From the winner's checkpoint to what ships: the INT8 file by the chain's own steps, scored, measured, packed."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.harness import measure
from edgeseg.benchmarks.result_file import write_result
from edgeseg.benchmarks.speedup import speedup
from edgeseg.benchmarks.subject import Subject
from edgeseg.export.pack import VariantSource, pack
from edgeseg.export.spec_file import model_file, read_spec
from edgeseg.pipeline.chain.chain import Chain, ChainProgress, Step, StepContext
from edgeseg.pipeline.learned.findings import skill_refusal
from edgeseg.pipeline.plan.plan import (
    INT8_VERSION,
    RANGES_VERSION,
    operating_steps,
    ranges_places,
    ranges_settings,
)
from edgeseg.pipeline.plan.run import RecipeChain
from edgeseg.pipeline.plan.variants import shipped_as
from edgeseg.pipeline.recipe.recipe import Recipe
from edgeseg.pipeline.search.losses import losses
from edgeseg.pipeline.steps.pack import bundle_info, golden_frames
from edgeseg.pipeline.target.fit_target import LocalTarget
from edgeseg.runtime.atomic import write_bytes
from edgeseg.runtime.engines import ENGINES
from edgeseg.runtime.errors import ExportError
from edgeseg.runtime.hashes import sha256_file
from edgeseg.train.checkpoint import WEIGHTS
from edgeseg.train.models import SegmentationNet

_EXPORTING = "edgeseg.pipeline.steps.export:"


@dataclasses.dataclass(frozen=True)
class Shipping:
    """What shipping works with.

    Attributes:
        chain: Of the recipe; its data and recipe are used.
        target: Where it ships to.
        teacher: Unpruned, for the speed-up within the same engine.
        folder: In the fit's folder; gets the steps of the export, bench.json, scores and the bundle.
        progress: Told what is done.
        teacher_on_val: The chain's summary of the teacher on val, for the choice of a threshold.
    """

    chain: RecipeChain
    target: LocalTarget
    teacher: SegmentationNet
    folder: Path
    progress: ChainProgress
    teacher_on_val: dict[str, Any] | None = None

    def __call__(self, checkpoint: Path) -> dict[str, Any]:
        """Export, score on val and (only now) on test, measure A B A B against the FP32 teacher, pack.

        Args:
            checkpoint: Of the winner.

        Returns:
            `checkpoint bundle file` as paths from the fit's folder, and `bytes sha256 variant operating_point accuracy
            skill references latency_ms speedup_vs_teacher teacher_bytes`; see `fit_losses.losses` for `references`.

        Raises:
            ExportError: If the network or the teacher cannot be exported.
        """
        export = self._export(checkpoint)
        state = export.run(self.progress, only=self._last)
        for name, record in state.records.items():
            if record["result"].get("status", "ok") != "ok":
                raise ExportError(f"the winner cannot ship: {name} is {record['result']['reason']}")
        files = export.folder(self._last).files
        subject = Subject("shipped", model_file(files), read_spec(files))
        shutil.rmtree(self.folder / "teacher", ignore_errors=True)
        teacher = self.target.fp32.export(self.teacher, self.folder / "teacher")
        floats = export.folder(self._last.replace("int8", "fp32")).files
        references = {"teacher": teacher, "fp32": Subject("fp32", model_file(floats), read_spec(floats))}
        measured = self._measure(teacher, subject)
        self.progress("shipped", 0.5, "score teacher, FP32 and INT8 on val and test")
        found = {
            "checkpoint": self._from_fit(export.folder("network").files),
            "file": self._from_fit(subject.model),
            "bytes": subject.model.stat().st_size,
            "sha256": sha256_file(subject.model),
            "variant": shipped_as(self.target.probe.target, "int8").name,
            "operating_point": (state.records.get("operating_point") or {}).get("result"),
        }
        found |= measured | losses(self.target, subject, references, self.folder)
        return found | {"bundle": self._from_fit(_pack(self.chain.recipe, self.target, self.folder, found, subject))}

    def _export(self, checkpoint: Path) -> Chain:
        chain = self.chain
        split = chain.root / "split.csv"
        if split.is_file():  # the split made for the run, where the data brings none
            write_bytes(self.folder / split.name, split.read_bytes())
        return Chain(self._steps(checkpoint), self.folder, chain.data_root, chain.data_key)

    def _from_fit(self, path: Path) -> str:
        return path.relative_to(self.folder.parent).as_posix()

    @property
    def _recipe(self) -> Recipe:
        """The recipe with `fit.float_paths` in the place of `quantize.float_paths`, which are the chain's student's."""
        recipe = self.chain.recipe
        quantize = dataclasses.replace(recipe.quantize, float_paths=recipe.fit.float_paths)
        return dataclasses.replace(recipe, quantize=quantize)

    @property
    def _last(self) -> str:
        return shipped_as(self.target.probe.target, "int8").step

    def _steps(self, checkpoint: Path) -> tuple[Step, ...]:
        """The export as a chain: the FP32 files, the ranges (as the recipe says), the INT8 files of one plan."""
        recipe = self._recipe
        where = {"geometry": dataclasses.asdict(recipe.geometry), "of": "network"}
        planned = where | {"float_paths": list(recipe.quantize.float_paths)}
        ranges = where | ranges_settings(recipe, self.target.calibration_sha256)
        run_ranges = "edgeseg.pipeline.steps.quantize:run_ranges"
        copied = {"checkpoint": str(checkpoint), "weights": sha256_file(checkpoint / WEIGHTS)}
        points = operating_steps(recipe, ("network_onnx",), of="network")
        decided = ("network", *(step.name for step in points))
        given = {"summary": self.teacher_on_val}
        in_onnx = where | {"format": "onnx"}
        u8s8 = {"format": "onnx", "source": "onnx_fp32"}
        s8 = {"format": "tflite", "source": "tflite_fp32"}
        first = [
            Step("val_teacher", (), given, "edgeseg.pipeline.search.ship:run_val_teacher"),
            Step("network_onnx", ("network",), in_onnx, _EXPORTING + "run_float"),
            *points,
        ]
        onnx, tflite = (*decided, "onnx_fp32", "ranges"), (*decided, "tflite_fp32", "ranges")
        return (
            Step("network", (), copied, "edgeseg.pipeline.search.ship:run_network"),
            *(first if points else ()),
            Step("onnx_fp32", decided, in_onnx, _EXPORTING + "run_float"),
            Step("tflite_fp32", decided, where | {"format": "tflite"}, _EXPORTING + "run_float"),
            Step(
                "ranges",
                ("network", "onnx_fp32"),
                ranges,
                run_ranges,
                version=RANGES_VERSION,
                places=ranges_places(recipe),
            ),
            Step("onnx_int8", onnx, planned | u8s8, _EXPORTING + "run_int8", version=INT8_VERSION),
            Step("tflite_int8", tflite, planned | s8, _EXPORTING + "run_int8", version=INT8_VERSION),
        )

    def _measure(self, reference: Subject, subject: Subject) -> dict[str, Any]:
        config = HarnessConfig(**dataclasses.asdict(self.chain.recipe.bench))
        result = measure([reference, subject], self.target.probe.frame, config)
        write_result(result, self.folder / "bench.json")
        first, second = result.rows
        known = first.status == second.status == "ok"
        ratio = speedup(first.nested_ms(), second.nested_ms()).to_json() if known else None
        size = reference.model.stat().st_size
        latency = second.step_values()["latency_ms"]
        return {"latency_ms": latency, "speedup_vs_teacher": ratio, "teacher_bytes": size}


def run_network(context: StepContext) -> dict[str, Any]:
    """The chosen checkpoint, as a step that exports can start from."""
    shutil.copytree(context.setting("checkpoint"), context.folder.files, dirs_exist_ok=True)
    return {"status": "ok", "reason": None}


def run_val_teacher(context: StepContext) -> dict[str, Any]:
    """What the chain found when it scored the teacher on val, as a step that the choice of a threshold reads."""
    return {"status": "ok", "reason": None, "summary": context.setting("summary")}


def _pack(recipe: Recipe, target: LocalTarget, folder: Path, found: dict[str, Any], subject: Subject) -> Path:
    measured: dict[str, Any] = {"target": target.probe.target, "status": "ok"}
    unlearned = skill_refusal(found["skill"], recipe.gates.min_skill)
    if unlearned:
        measured |= {"status": "refused", "reason": unlearned}
    if found["latency_ms"]:
        stages = {stage: found["latency_ms"][stage] for stage in ("pre", "infer", "post", "total")}
        measured |= {f"{stage}_p50_ms": value["p50"] for stage, value in stages.items() if value}
    source = VariantSource(
        name=found["variant"],
        model=subject.model,
        spec=subject.spec,
        accuracy=found["accuracy"],
        sha256=found["sha256"],
        measured=(measured,),
        needs=ENGINES[subject.spec.backend].u8s8_needs,
    )
    path = folder / f"{recipe.name}.edgeseg"
    info = bundle_info(recipe.identity, target.data, subject.spec)
    pack(path, info, [source], golden_frames(target.data, recipe.data.seed))
    return path
