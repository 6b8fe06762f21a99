"""The step that chooses the operating point: the accepted student's FP32 file on val, at every threshold tried."""

from __future__ import annotations

from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.pipeline.plan.layout import CHOOSE_FINAL
from edgeseg.pipeline.plan.results import Choice, Exported, Scored
from edgeseg.pipeline.steps.data import open_data
from edgeseg.pipeline.steps.operating_point import OperatingPoint, masks_at, operating_point, points_of
from edgeseg.runtime.cores import all_threads
from edgeseg.runtime.opening.step_folder import model_in, read_spec
from edgeseg.runtime.score.evaluate import evaluate_each
from edgeseg.runtime.segmenter import Segmenter
from edgeseg.runtime.spec.model_spec import Decision


def run_operating_point(context: StepContext) -> OperatingPoint:
    """Choose by `settings.objective` between thresholds, for every file that is exported after this."""
    named = context.settings.get("of")
    source = str(named or context.result(CHOOSE_FINAL, Choice).student)
    exported = context.result(f"{source}_onnx", Exported)
    if exported.status != "ok":
        return OperatingPoint("not measured", exported.reason)
    data = open_data(context)
    files = context.folders[f"{source}_onnx"].files
    with Segmenter.from_file(model_in(files), read_spec(files), all_threads()) as segmenter:
        rows = evaluate_each(
            masks_at(segmenter),
            data.split("val"),
            data.classes,
            data.pixel_mm,
            lambda done, total: context.progress(done / total, f"thresholds on val, image {done}/{total}"),
            color=data.color,
        )
    teacher = context.result("val_teacher", Scored).summary or {}
    points = points_of(rows, data.classes)
    recall, drop = teacher.get("region_recall"), context.setting("recall_drop")
    return operating_point(points, context.setting("objective"), recall, drop)


def decision_of(context: StepContext) -> Decision:
    """What `run_operating_point` chose for the files of this step; 0.5 where the recipe asks for no choice."""
    if "operating_point" not in context.results:
        return Decision()
    return context.result("operating_point", OperatingPoint).decision or Decision()
