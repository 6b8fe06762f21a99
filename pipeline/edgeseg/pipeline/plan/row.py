"""One row of the report: what a network or a file of it is, how accurate, how fast, and whether it holds its budgets.

The steps that decide compute their rows on val and keep them in their folders, where bundle and report read them.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeseg.pipeline.reader import read_config
from edgeseg.runtime.files.atomic import write_json

_FILE = "rows.json"
# What rows of runs from before 2026-11-28 do not have.
_NOT_YET = {"evidence": "device", "energy": None, "energy_reason": None, "region_recall_drop_vs_teacher": None}
BySplit = dict[str, dict[str, Any] | None]


@dataclass(frozen=True)
class Row:
    """A row; see docs/architecture.md. What is by split has `val` while things are decided, and `test` after that.

    Attributes:
        name: Of the row.
        parent: Row it is made of and compared with.
        kind: `model`, `variant` or `reference`.
        variant: Name in the bundle.
        target: Where its latency is measured and gated.
        status: `ok`, `refused`, `failed` or `not measured`.
        reason: Why it is not `ok`.
        engine: That runs its file.
        precision: Of its file.
        params: Of its network.
        macs: Of its network, at `macs_at` (height, width) [px].
        macs_at: See `macs`.
        bytes: Of its file.
        sha256: Of its file.
        parity: Of its file against torch.
        accuracy: `metrics.summarize` by split; None where it is not scored, as the reference is not.
        dice_drop_vs_teacher: `drops.dice_drop` and its budget, by split.
        dice_drop_vs_parent: The same against its parent.
        dice_drop_vs_baseline: `drops.seeds_drop` against the row without the method, by split; no budget.
        region_recall_drop_vs_teacher: `drops.recall_drop` and its budget, by split.
        seeds: Of a network that was trained several times: `seed` and Dice by split of each training.
        agreement_vs_parent: Share of equal mask pixels on val, in [0, 1].
        skill: `learned.skill.skill_of` on val.
        refused_for: Reasons by target for which it is refused though its status is `ok`.
        latency_ms: Order statistics by stage.
        peak_memory_mib: Of a fresh process.
        load_ms: Until the engine is ready.
        first_inference_ms: Of a fresh process.
        speedup_vs_reference: `speedup.Ratio` to the reference in the same engine.
        speedup_vs_parent: The same against its parent.
        latency_reason: Why there is no latency.
        evidence: What latency and energy are: `device`, `emulated` or `replayed`.
        energy: `gross_mj net_mj power_w window_s n_readings sensor evidence`; None where nothing was metered.
        energy_reason: Why there is no energy.
    """

    name: str
    parent: str | None
    kind: str
    variant: str | None
    target: str
    status: str
    reason: str | None = None
    engine: str | None = None
    precision: str | None = None
    params: int | None = None
    macs: int | None = None
    macs_at: tuple[int, ...] | None = None
    bytes: int | None = None
    sha256: str | None = None
    parity: dict[str, Any] | None = None
    accuracy: BySplit = field(default_factory=dict)
    dice_drop_vs_teacher: BySplit | None = None
    dice_drop_vs_parent: BySplit | None = None
    dice_drop_vs_baseline: BySplit | None = None
    region_recall_drop_vs_teacher: BySplit | None = None
    seeds: tuple[dict[str, Any], ...] = ()
    agreement_vs_parent: float | None = None
    skill: dict[str, Any] | None = None
    refused_for: dict[str, str] = field(default_factory=dict)
    latency_ms: dict[str, Any] | None = None
    peak_memory_mib: float | None = None
    load_ms: float | None = None
    first_inference_ms: float | None = None
    speedup_vs_reference: dict[str, Any] | None = None
    speedup_vs_parent: dict[str, Any] | None = None
    latency_reason: str | None = None
    evidence: str = "device"
    energy: dict[str, Any] | None = None
    energy_reason: str | None = None

    def val_dice(self) -> float | None:
        """Mean Dice on val; None where it was not scored, or val and its masks have no foreground."""
        dice: float | None = (self.accuracy["val"] or {}).get("dice_mean")
        return dice


def save_rows(files: Path, rows: Iterable[Row]) -> None:
    """Keep rows in the folder of the step that has computed them."""
    write_json(files / _FILE, [dataclasses.asdict(row) for row in rows])


def load_rows(files: Path) -> list[Row]:
    """The rows that a step has kept."""
    path = files / _FILE
    rows = [_NOT_YET | row for row in json.loads(path.read_text())]
    return [read_config(Row, row, f"{path}: row {row.get('name')}", whole=True) for row in rows]
