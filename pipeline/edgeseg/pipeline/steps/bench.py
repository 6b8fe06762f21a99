"""The measuring step: every file of the chain, A B A B, on one named test frame, here or on the budget's machine."""

from __future__ import annotations

import dataclasses
from typing import Any

from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.harness import measure
from edgeseg.benchmarks.results.result import BenchResult
from edgeseg.benchmarks.results.result_file import write_result
from edgeseg.benchmarks.subject import Subject
from edgeseg.benchmarks.targets.measurement import Measurement
from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.pipeline.recipe.recipe import BenchSection
from edgeseg.pipeline.steps.data import open_data
from edgeseg.pipeline.target.elsewhere import Elsewhere, machine_of
from edgeseg.pipeline.target.machine import metered
from edgeseg.runtime.data.dataset import read_image
from edgeseg.runtime.engines import engine_of_target
from edgeseg.runtime.opening.step_folder import model_in, read_spec


def run_bench(context: StepContext) -> dict[str, Any]:
    """Measure pre, infer, post and total of every file that was exported."""
    data = open_data(context)
    sample = min(data.split("test"), key=lambda one: one.stem)
    frame = read_image(sample.image, data.color, data.window)
    subjects = []
    for name, record in context.results.items():
        if record["result"]["status"] == "ok":
            files = context.folders[name].files
            subjects.append(Subject(name, model_in(files), read_spec(files)))
    config = HarnessConfig(**dataclasses.asdict(context.section("bench", BenchSection)))
    result = _measured(context, Measurement(tuple(subjects), frame, sample.stem, config))
    write_result(result, context.folder.files / "bench.json")
    return {
        "frame": sample.stem,
        "frame_shape": list(frame.shape),
        "evidence": result.evidence,
        "status": {row.name: row.status for row in result.rows},
        "warnings": [dataclasses.asdict(caution) for caution in result.warnings],
    }


def _measured(context: StepContext, job: Measurement) -> BenchResult:
    """Where the step says; on another machine the files of the budget's engine, which it has, and no others."""
    machine = machine_of(context.settings.get("machine"), context.step.places.get("on", ""))
    config = metered(job.config, machine.meter)
    if isinstance(machine, Elsewhere):
        engine = engine_of_target(context.setting("target"))
        taken = tuple(one for one in job.subjects if engine is not None and one.spec.backend == engine.name)
        return machine.run(dataclasses.replace(job, subjects=taken, config=config), context.progress)
    return measure(job.subjects, job.frame, config, frame_name=job.frame_name, progress=context.progress)
