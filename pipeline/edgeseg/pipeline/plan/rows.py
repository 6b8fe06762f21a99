"""The rows of the report, put together from the records of the steps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeseg.benchmarks.result import BenchResult
from edgeseg.benchmarks.speedup import speedup
from edgeseg.export.mask_agreement import agreement
from edgeseg.pipeline.chain.store import StepFolder
from edgeseg.pipeline.learned.findings import skill_refusal
from edgeseg.pipeline.learned.skill import skill_of
from edgeseg.pipeline.plan.gates import Row, accuracy_refusal, baseline_refusal, latency_refusals
from edgeseg.pipeline.plan.layout import CHOICES, CHOOSE_FINAL, ROWS, TEACHER_FILES, RowLayout, score_step
from edgeseg.pipeline.recipe.gate_section import GateSection
from edgeseg.runtime.score.drops import dice_drop
from edgeseg.runtime.score.evaluate import load_scores
from edgeseg.runtime.score.image_score import ImageScore

Records = Mapping[str, Mapping[str, Any]]
Folders = Mapping[str, StepFolder]


def model_row(
    layout: RowLayout, records: Records, folders: Folders, gates: GateSection, splits: tuple[str, ...]
) -> Row:
    """One row without latency: what it is, how accurate it is, whether val lets it pass.

    Args:
        layout: Which row.
        records: Records of the steps done so far.
        folders: Folders of all steps.
        gates: Budgets.
        splits: `("val",)` while things are decided, `("val", "test")` in the report.
    """
    exported = records[layout.file]["result"]
    parent = parent_name(layout, records)
    trained = records.get(_network_step(layout, records), {}).get("result", {})
    row: Row = {
        "name": layout.name,
        "parent": parent,
        "kind": "model" if layout.variant is None else "variant",
        "variant": layout.variant,
        "target": layout.target,
        "status": exported["status"],
        "reason": exported["reason"],
        "engine": exported.get("backend"),
        "precision": exported.get("precision"),
        "params": trained.get("params"),
        "macs": trained.get("macs"),
        "macs_at": trained.get("macs_at"),
        "bytes": exported.get("bytes"),
        "sha256": exported.get("sha256"),
        "parity": exported.get("parity"),
        "accuracy": {split: records[score_step(layout, split)]["result"]["summary"] for split in splits},
        "dice_drop_vs_teacher": None,
        "dice_drop_vs_parent": None,
        "agreement_vs_parent": None,
        "skill": None,
        "refused_for": {},
    }
    if row["status"] != "ok":
        return row
    row["skill"] = skill_of(_scores(folders, layout, "val"), tuple(row["accuracy"]["val"]["dice"]))
    unlearned = skill_refusal(row["skill"], gates.min_skill) if layout.variant is not None else None
    if unlearned:
        row["refused_for"] = {layout.target: unlearned}
    if parent is not None:
        by_name = {other.name: other for other in ROWS}
        row["dice_drop_vs_teacher"] = _drops(by_name["teacher"], layout, folders, gates.max_total_dice_drop, splits)
        row["dice_drop_vs_parent"] = _drops(by_name[parent], layout, folders, gates.max_dice_drop, splits)
        row["agreement_vs_parent"] = agreement(
            _files(folders, by_name[parent], "val") / "masks", _files(folders, layout, "val") / "masks"
        )
    refusal = accuracy_refusal(row, gates) or _baseline_refusal(row, layout, records)
    if refusal:
        row["status"], row["reason"] = "refused", refusal
    return row


def add_latency(row: Row, layout: RowLayout, bench: BenchResult, parent_file: str | None, gates: GateSection) -> Row:
    """Return the row with latency, memory, speed-ups and the targets it is refused for."""
    found = {measured.name: measured for measured in bench.rows}
    mine = found.get(layout.file)
    values = dict.fromkeys(("latency_ms", "peak_memory_mib", "load_ms", "first_inference_ms"))
    if mine is None or mine.status != "ok":
        reason = mine.reason if mine else f"{layout.file} was not measured"
        return row | values | {"speedup_vs_teacher": None, "speedup_vs_parent": None, "latency_reason": reason}
    row = row | mine.step_values()
    row["speedup_vs_teacher"] = _ratio(found.get(TEACHER_FILES[layout.target]), mine)
    row["speedup_vs_parent"] = _ratio(found.get(parent_file or ""), mine)
    if layout.variant is not None:
        ratio = (row["speedup_vs_teacher"] or {}).get("ratio")
        row["refused_for"] = latency_refusals({layout.target: ratio}, gates) | row["refused_for"]
    return row


def parent_name(layout: RowLayout, records: Records) -> str | None:
    """The row a row is made of and compared with, as its layout or the choice that the layout names says."""
    if layout.parent in CHOICES:
        return str(records[layout.parent]["result"]["student"])
    return layout.parent


def parent_file_of(layout: RowLayout, records: Records) -> str | None:
    """Step that holds the parent's file, where it runs in the same engine: other ratios would compare engines."""
    parent = parent_name(layout, records)
    other = next((row for row in ROWS if row.name == parent), None)
    return other.file if other is not None and other.target == layout.target else None


def _baseline_refusal(row: Row, layout: RowLayout, records: Records) -> str | None:
    if layout.baseline is None:
        return None
    baseline = next(other for other in ROWS if other.name == layout.baseline)
    return baseline_refusal(row, baseline.name, records[score_step(baseline, "val")]["result"]["summary"])


def _network_step(layout: RowLayout, records: Records) -> str:
    return layout.name if layout.variant is None else str(records[CHOOSE_FINAL]["result"]["student"])


def _files(folders: Folders, layout: RowLayout, split: str) -> Path:
    return folders[score_step(layout, split)].files


def _drops(
    reference: RowLayout, layout: RowLayout, folders: Folders, budget: float | None, splits: tuple[str, ...]
) -> dict[str, Any]:
    drops: dict[str, Any] = {}
    for split in splits:
        found = dice_drop(_scores(folders, reference, split), _scores(folders, layout, split), budget)
        drops[split] = None if found is None else found | {"budget": budget}
    return drops


def _scores(folders: Folders, layout: RowLayout, split: str) -> list[ImageScore]:
    return load_scores(_files(folders, layout, split) / "scores.json")


def _ratio(reference: Any, candidate: Any) -> dict[str, Any] | None:
    if reference is None or reference.status != "ok":
        return None
    return speedup(reference.nested_ms(), candidate.nested_ms()).to_json()
