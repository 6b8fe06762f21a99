"""The rows of the report, put together from the records of the steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.benchmarks.results.result import BenchResult
from edgeseg.benchmarks.results.result import Row as BenchRow
from edgeseg.benchmarks.speedup import speedup
from edgeseg.export.mask_agreement import agreement
from edgeseg.pipeline.chain.chain import result_of
from edgeseg.pipeline.chain.store import StepFolder
from edgeseg.pipeline.learned.findings import skill_refusal
from edgeseg.pipeline.learned.skill import skill_of
from edgeseg.pipeline.plan.gates import accuracy_refusal, latency_refusals
from edgeseg.pipeline.plan.layout import (
    CHOICES,
    CHOOSE_FINAL,
    CUT,
    REFERENCE,
    REFERENCE_FILES,
    ROWS,
    RowLayout,
    score_step,
)
from edgeseg.pipeline.plan.results import Choice, Exported, Scored
from edgeseg.pipeline.plan.row import Row
from edgeseg.pipeline.plan.seed_folders import seed_folders
from edgeseg.pipeline.plan.shown import said_of, shown_worse
from edgeseg.pipeline.recipe.sections.gates import GateSection
from edgeseg.runtime.opening.selection import architecture, wrong_without
from edgeseg.runtime.score.drops import dice_drop, recall_drop, seeds_drop
from edgeseg.runtime.score.evaluate import load_scores
from edgeseg.runtime.score.image_score import ImageScore

_BY_NAME = {row.name: row for row in ROWS}

SEEDS_KEY = "student.seeds"

Records = Mapping[str, Mapping[str, Any]]
Folders = Mapping[str, StepFolder]


@dataclass(frozen=True)
class Found:
    """What rows are put together from.

    Attributes:
        records: Of the steps done so far.
        folders: Of all steps.
        gates: Budgets.
    """

    records: Records
    folders: Folders
    gates: GateSection

    def scores(self, layout: RowLayout, split: str) -> list[ImageScore]:
        """Of a row's file."""
        return load_scores(self.files(layout, split) / "scores.json")

    def scores_by_seed(self, layout: RowLayout, split: str) -> dict[int, list[ImageScore]]:
        """Of the file of each training of a row's network; of its one training under the seed 0."""
        found = seed_folders(self.files(layout, split))
        scores = {seed: load_scores(folder / "scores.json") for seed, folder in found.items()}
        return scores or {0: self.scores(layout, split)}

    def files(self, layout: RowLayout, split: str) -> Path:
        """What the scoring of a row's file has left: scores and masks."""
        return self.folders[score_step(layout, split)].files

    def summary(self, layout: RowLayout, split: str) -> dict[str, Any] | None:
        """Of a row's file; None where there was none."""
        return result_of(self.records, score_step(layout, split), Scored).summary


def val_row(layout: RowLayout, found: Found) -> Row:
    """One row without latency: what it is, how accurate it is on val, whether that lets it pass."""
    row, found = _described(layout, found), _of_budget(layout, found)
    if row.status != "ok":
        return row
    skill = skill_of(found.scores(layout, "val"), tuple((row.accuracy["val"] or {})["dice"]))
    unlearned = skill_refusal(skill, found.gates.min_skill) if layout.variant is not None else None
    row = dataclasses.replace(row, skill=skill, refused_for={layout.target: unlearned} if unlearned else {})
    row = _with_drops(row, layout, found, "val")
    if row.parent is not None:
        masks = (found.files(one, "val") / "masks" for one in (_BY_NAME[row.parent], layout))
        row = dataclasses.replace(row, agreement_vs_parent=agreement(*masks))
    refusal = accuracy_refusal(row, found.gates) or _baseline_refusal(row, layout) or _wrong_here(layout)
    return dataclasses.replace(row, status="refused", reason=refusal) if refusal else row


def with_test(row: Row, layout: RowLayout, found: Found) -> Row:
    """The row with its figures on test, which decide nothing."""
    found = _of_budget(layout, found)
    row = dataclasses.replace(
        row,
        accuracy=row.accuracy | {"test": found.summary(layout, "test")},
        seeds=_seeds(layout, found, "val", "test"),
    )
    # A row that val refused is compared too; one that has no file cannot be.
    return row if row.accuracy["test"] is None else _with_drops(row, layout, found, "test")


def with_latency(row: Row, layout: RowLayout, bench: BenchResult, found: Found) -> Row:
    """The row with latency, memory, speed-ups and the targets it is refused for."""
    measured = {one.name: one for one in bench.rows}
    mine = measured.get(layout.file)
    if mine is None or mine.status != "ok":
        reason = mine.reason if mine else layout.not_timed or f"{layout.file} was not measured"
        return dataclasses.replace(row, latency_reason=reason)
    versus_reference = _ratio(measured.get(REFERENCE_FILES[layout.target]), mine)
    versus_parent = _ratio(measured.get(parent_file_of(layout, found.records) or ""), mine)
    target = _measured_target(layout, bench)
    row = dataclasses.replace(
        row,
        **mine.step_values(),
        **_energy(bench, mine),
        target=target,
        refused_for=dict.fromkeys((target,) * len(row.refused_for), next(iter(row.refused_for.values()), "")),
        evidence=bench.evidence,
        speedup_vs_reference=versus_reference,
        speedup_vs_parent=versus_parent,
    )
    if layout.variant is None:
        return row
    ratio = (versus_reference or {}).get("ratio")
    return dataclasses.replace(row, refused_for=latency_refusals({target: ratio}, found.gates) | row.refused_for)


def reference_row(layout: RowLayout, bench: BenchResult, found: Found) -> Row:
    """What the reference costs in one engine; its weights are random, so that it has no accuracy."""
    built = found.records[REFERENCE]["result"]
    row = _of_file(layout, found, built, "reference", layout.parent)
    return with_latency(dataclasses.replace(row, accuracy={"val": None, "test": None}), layout, bench, found)


def parent_name(layout: RowLayout, records: Records) -> str | None:
    """The row a row is made of and compared with, as its layout or the choice that the layout names says."""
    if layout.parent in CHOICES:
        return result_of(records, layout.parent, Choice).student
    return layout.parent


def parent_file_of(layout: RowLayout, records: Records) -> str | None:
    """Step that holds the parent's file, where it runs in the same engine: other ratios would compare engines."""
    parent = parent_name(layout, records)
    other = _BY_NAME.get(parent or "")
    return other.file if other is not None and other.target == layout.target else None


def _of_budget(layout: RowLayout, found: Found) -> Found:
    """Of what is made of the network that was cut to the budget the total drop alone is judged.

    The device's limit has asked for the cut; what it costs is told.
    """
    if _network_step(layout, found.records) != CUT:
        return found
    return dataclasses.replace(found, gates=dataclasses.replace(found.gates, max_dice_drop=None))


def _described(layout: RowLayout, found: Found) -> Row:
    trained = found.records.get(_network_step(layout, found.records), {}).get("result", {})
    kind = "model" if layout.variant is None else "variant"
    row = _of_file(layout, found, trained, kind, parent_name(layout, found.records))
    # Where there is no network, why there is none says more than that it has no file.
    told = trained if layout.variant is None and trained.get("status", "ok") != "ok" else {}
    if told:
        row = dataclasses.replace(row, status=told["status"], reason=told.get("reason"))
    return dataclasses.replace(row, accuracy={"val": found.summary(layout, "val")}, seeds=_seeds(layout, found, "val"))


def _of_file(layout: RowLayout, found: Found, trained: Mapping[str, Any], kind: str, parent: str | None) -> Row:
    """A row of what its file and its network say of themselves."""
    exported = result_of(found.records, layout.file, Exported)
    return Row(
        name=layout.name,
        parent=parent,
        kind=kind,
        variant=layout.variant,
        target=layout.target,
        status=exported.status,
        reason=exported.reason,
        engine=exported.backend,
        precision=exported.precision,
        params=trained.get("params"),
        macs=trained.get("macs"),
        macs_at=tuple(trained["macs_at"]) if trained.get("macs_at") else None,
        bytes=exported.bytes,
        sha256=exported.sha256,
        parity=exported.parity,
    )


def _with_drops(row: Row, layout: RowLayout, found: Found, split: str) -> Row:
    """The row held against its teacher and its parent on a split, where it has a parent."""
    if row.parent is None:
        return row
    own, gates = found.scores(layout, split), found.gates
    known: dict[str, Any] = {}
    against = {
        "dice_drop_vs_teacher": (dice_drop, "teacher", gates.max_total_dice_drop),
        "dice_drop_vs_parent": (dice_drop, row.parent, gates.max_dice_drop),
        "region_recall_drop_vs_teacher": (recall_drop, "teacher", gates.max_region_recall_drop),
    }
    for key, (drop_from, reference, budget) in against.items():
        drop = drop_from(found.scores(_BY_NAME[reference], split), own, budget)
        known[key] = (getattr(row, key) or {}) | {split: None if drop is None else drop | {"budget": budget}}
    return _against_baseline(dataclasses.replace(row, **known), layout, found, split)


def _seeds(layout: RowLayout, found: Found, *splits: str) -> tuple[dict[str, Any], ...]:
    """Dice of each training by split."""
    scored = {split: result_of(found.records, score_step(layout, split), Scored).dice_by_seed for split in splits}
    return tuple(
        {"seed": rows[0]["seed"]} | {split: row["dice_mean"] for split, row in zip(scored, rows, strict=True)}
        for rows in zip(*scored.values(), strict=True)
    )


def _against_baseline(row: Row, layout: RowLayout, found: Found, split: str) -> Row:
    """The row with its Dice held against that of the row without its method, where both are scored."""
    if layout.baseline is None:
        return row
    baseline = _BY_NAME[layout.baseline]
    known = row.dice_drop_vs_baseline or {}
    drop = None
    if found.summary(baseline, split) is not None:
        plain, own = (found.scores_by_seed(one, split) for one in (baseline, layout))
        drop = seeds_drop([(plain[seed], own[seed]) for seed in plain if seed in own])
    return dataclasses.replace(row, dice_drop_vs_baseline=known | {split: drop})


def _baseline_refusal(row: Row, layout: RowLayout) -> str | None:
    drop = (row.dice_drop_vs_baseline or {}).get("val")
    if layout.baseline is None or not shown_worse(drop):
        return None
    return said_of(row.name, layout.baseline, drop, SEEDS_KEY)


def _wrong_here(layout: RowLayout) -> str | None:
    """Golden masks are made here: of a file that is computed otherwise where it is meant to run they would be wrong."""
    wrong = wrong_without(layout.needs)
    if wrong is None:
        return None
    meant = "what this file answers here, and its Dice, is not what it does where it is meant to run"
    return f"{wrong}: {meant}; run the recipe on a processor that has them"


def _network_step(layout: RowLayout, records: Records) -> str:
    return layout.name if layout.variant is None else result_of(records, CHOOSE_FINAL, Choice).student


def _measured_target(layout: RowLayout, bench: BenchResult) -> str:
    """The layout's target, of the machine that has measured."""
    arch = bench.device.get("arch")
    return layout.target if arch is None else f"{architecture(str(arch))}-{layout.target.partition('-')[2]}"


def _energy(bench: BenchResult, mine: BenchRow) -> dict[str, Any]:
    """Energy of an inference; a recording's, or one beside an emulator's times, says so wherever it goes."""
    found = bench.energy(mine)
    if isinstance(found, str) or bench.power is None:
        return {"energy_reason": found}
    names = ("gross_mj", "net_mj", "power_w", "window_s", "n_readings", "uncertainty_mj")
    return {
        "energy": {name: getattr(found, name) for name in names}
        | {"sensor": bench.power.sensor.sensor, "evidence": bench.energy_evidence}
    }


def _ratio(reference: Any, candidate: Any) -> dict[str, Any] | None:
    if reference is None or reference is candidate or reference.status != "ok":
        return None
    if not (reference.processes and candidate.processes):  # another tool's figures are no samples
        return None
    return speedup(reference.nested_ms(), candidate.nested_ms()).to_json()
