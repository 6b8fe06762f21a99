"""The reporting step: report.json and report.html from everything that was measured."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeseg.benchmarks.results.result import BenchResult
from edgeseg.benchmarks.results.result_file import read_result
from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.pipeline.chain.provenance import code_and_time, data_summary
from edgeseg.pipeline.learned.constant_mask import constant_mask_dice
from edgeseg.pipeline.learned.findings import warnings_of
from edgeseg.pipeline.plan.layout import (
    CHOICES,
    CHOOSE_FINAL,
    CUT,
    QAT,
    RANGES,
    REFERENCE_ROWS,
    ROWS,
    SEARCH_FILE,
    RowLayout,
    asked_rows,
    score_step,
)
from edgeseg.pipeline.plan.results import Choice, gate_failed
from edgeseg.pipeline.plan.row import Row, load_rows
from edgeseg.pipeline.plan.rows import Found, reference_row, with_latency, with_test
from edgeseg.pipeline.recipe.sections.gates import GateSection
from edgeseg.pipeline.report.image_rank import faults_of
from edgeseg.pipeline.report.page import Panel, render_report
from edgeseg.pipeline.report.record import evidence_warnings
from edgeseg.pipeline.report.search import meter_warnings, search_warnings
from edgeseg.pipeline.report.unheld import unheld_warnings
from edgeseg.pipeline.steps.data import open_data
from edgeseg.pipeline.steps.start import pretrained
from edgeseg.runtime.data.dataset import DataSet, Sample, read_image
from edgeseg.runtime.files.atomic import write_json
from edgeseg.runtime.files.png import read_mask_png
from edgeseg.runtime.frame.intensity import apply_window
from edgeseg.runtime.score.evaluate import load_scores
from edgeseg.runtime.score.image_score import ImageScore
from edgeseg.runtime.score.metrics import image_dice

SCHEMA_VERSION = 2  # 2: costs are against the reference, in 1 they were against the teacher
PANELS, WORST = 8, 4
_KEPT = ("kept_epoch", "val_dice_at_network_size", "highest_val_dice")
_TRAININGS = ("teacher", "student_alone", "student_distilled", "student_pruned")


def run_report(context: StepContext) -> dict[str, Any]:
    """Put the report together; nothing is decided here."""
    data = open_data(context)
    report = build_report(context, data)
    write_json(context.folder.files / "report.json", report)
    shown = context.setting("images") and data.may_redistribute
    panels = _panels(context, data, report["shipped"]["step"]) if shown else []
    render_report(report, panels, context.folder.files / "report.html")
    refused = any(row["status"] == "refused" or row.get("refused_for") for row in report["steps"])
    return {"gate_failed": gate_failed(report["shipped"]), "refused_rows": refused}


def build_report(context: StepContext, data: DataSet) -> dict[str, Any]:
    """The whole report as JSON, as described in docs/architecture.md."""
    records, gates = context.results, context.section("gates", GateSection)
    bench = read_result(context.folders["bench"].files / "bench.json")
    rows = [dataclasses.asdict(row) for row in _rows(context, Found(records, context.folders, gates), bench)]
    recipe, bundle = context.setting("recipe"), records["bundle"]["result"]
    trained = {name: records[name]["result"] for name in _TRAININGS}
    histories = {name: result["history"] for name, result in trained.items() if "history" in result}
    search, shipped = _search(context), records["ship"]["result"]
    found = warnings_of(rows, histories, gates.min_skill, constant_mask_dice(data))
    return {
        "schema_version": SCHEMA_VERSION,
        **code_and_time(),
        "command": context.setting("command"),
        "recipe": {"name": recipe["name"], "sha256": context.setting("sha256"), "settings": recipe},
        "data": data_summary(data),
        "pretrained": list(pretrained(records)),
        **measured_on(bench, records["bench"]["result"] | {"threads": recipe["bench"]["threads"]}),
        "warnings": found
        + search_warnings(search, shipped)
        + evidence_warnings(bench.evidence)
        + meter_warnings(bench)
        + unheld_warnings(rows, gates),
        "steps": rows,
        "quantization": records[RANGES]["result"],
        "qat": (records.get(QAT) or {}).get("result"),
        "operating_point": (records.get("operating_point") or {}).get("result"),
        "search": search,
        "shipped": shipped,
        "chosen": {name: records[name]["result"] for name in CHOICES},
        "bundle": bundle | records["bundle"]["files"].get(bundle.get("file", ""), {}),
        "asked": trained["student_distilled"].get("asked"),
        "histories": histories,
        "kept_looks": {name: {key: trained[name][key] for key in _KEPT} for name in histories},
        "wall_s": {name: record["wall_s"] for name, record in records.items()},
        "total_wall_s": round(sum(record["wall_s"] for record in records.values()), 1),
    }


def measured_on(bench: BenchResult, result: Mapping[str, Any]) -> dict[str, Any]:
    """Where and how the times were measured, wherever the report is made: a run's folder may have been moved.

    Args:
        bench: The measurement.
        result: Of its step.
    """
    told = {"created": bench.created, "evidence": bench.evidence, "pipeline": bench.pipeline}
    return {"machine": dict(bench.device), "software": dict(bench.software), "bench": dict(result) | told}


def _search(context: StepContext) -> dict[str, Any] | None:
    """What the search has found; None where the recipe has no budget, whatever an earlier one has left."""
    if SEARCH_FILE not in context.results[CUT]["files"]:
        return None
    found: dict[str, Any] = json.loads((context.folders[CUT].files / SEARCH_FILE).read_text())
    return found


def _rows(context: StepContext, found: Found, bench: BenchResult) -> list[Row]:
    """What costs are compared with; the rows as they were decided on, with test and every latency."""
    decided = {row.name: row for step in (*CHOICES, "ship") for row in load_rows(context.folders[step].files)}
    layouts = asked_rows(context.results)
    rows = [with_test(decided[layout.name], layout, found) for layout in layouts]
    return [
        *(reference_row(layout, bench, found) for layout in REFERENCE_ROWS),
        *(
            with_latency(row, layout, bench, found) if layout.variant is None else row
            for row, layout in zip(rows, layouts, strict=True)
        ),
    ]


def _panels(context: StepContext, data: DataSet, shipped: str | None) -> list[Panel]:
    """The worst test images of what ships, and evenly spaced others."""
    by_name = {row.name: row for row in ROWS}
    final = context.result(CHOOSE_FINAL, Choice)
    if final.status != "ok":
        return []
    shown = by_name[shipped or final.student]
    scores = load_scores(context.folders[score_step(shown, "test")].files / "scores.json")
    samples = {sample.stem: sample for sample in data.split("test")}
    worst, others = choose_panels(scores)
    return [_panel(context, data, samples[score.stem], score, shown, score in worst) for score in [*worst, *others]]


def choose_panels(scores: Sequence[ImageScore]) -> tuple[list[ImageScore], list[ImageScore]]:
    """The four images with the worst faults, and four spread evenly over the rest, from worse to better.

    Images without an object in truth or mask are left out: there is nothing to see on them.
    """
    seen = (score for score in scores if not score.is_negative or score.n_predicted_regions.any())
    rated = sorted(seen, key=faults_of, reverse=True)
    worst, rest = rated[:WORST], rated[WORST:]
    count = min(PANELS - WORST, len(rest))
    spread = [rest[(2 * index + 1) * len(rest) // (2 * count)] for index in range(count)]
    return worst, spread


def _panel(
    context: StepContext, data: DataSet, sample: Sample, score: ImageScore, shown: RowLayout, worst: bool
) -> Panel:
    def mask(row: RowLayout) -> Any:
        folder: Path = context.folders[score_step(row, "test")].files
        return read_mask_png(folder / "masks" / f"{sample.stem}.png")

    return Panel(
        stem=sample.stem,
        frame=apply_window(read_image(sample.image, data.color, data.window), data.window),
        truth=sample.read_truth(len(data.classes)),
        teacher=mask(ROWS[0]),
        shipped=mask(shown),
        dice=None if score.is_negative else image_dice(score),
        faults=faults_of(score),
        worst=worst,
    )
