"""The measuring step: every file of the chain, A B A B, on one named test frame."""

from __future__ import annotations

import dataclasses
from typing import Any

from edgeseg.benchmarks.config import HarnessConfig
from edgeseg.benchmarks.harness import measure
from edgeseg.benchmarks.results.result_file import write_result
from edgeseg.benchmarks.subject import Subject
from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.pipeline.recipe.recipe import BenchSection
from edgeseg.pipeline.steps.data import open_data
from edgeseg.runtime.data.dataset import read_image
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
    section = dataclasses.asdict(context.section("bench", BenchSection))
    result = measure(subjects, frame, HarnessConfig(**section), frame_name=sample.stem, progress=context.progress)
    write_result(result, context.folder.files / "bench.json")
    return {
        "frame": sample.stem,
        "frame_shape": list(frame.shape),
        "evidence": result.evidence,
        "status": {row.name: row.status for row in result.rows},
        "warnings": [dataclasses.asdict(caution) for caution in result.warnings],
    }
