"""Rows are computed once: on val by the steps that decide, on test after that."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from edgeseg.pipeline.chain.store import StepFolder
from edgeseg.pipeline.plan.layout import ROWS, score_step
from edgeseg.pipeline.plan.row import load_rows, save_rows
from edgeseg.pipeline.plan.rows import Found, val_row, with_test
from edgeseg.pipeline.recipe.gate_section import GateSection
from edgeseg.runtime.errors import ConfigError

from ..stored_scores import store_scores

TEACHER, ALONE = ROWS[:2]


@pytest.fixture
def found(tmp_path: Path) -> Found:
    records, folders = {}, {}
    missed = {(TEACHER, "val"): 0, (TEACHER, "test"): 1, (ALONE, "val"): 3, (ALONE, "test"): 8}
    for (layout, split), rows in missed.items():
        name = score_step(layout, split)
        folders[name] = StepFolder(tmp_path / name)
        records |= {name: store_scores(folders[name], rows), layout.file: {"result": {"status": "ok", "bytes": 7}}}
    records["student_alone"] = {"result": {"params": 5, "macs": 6, "macs_at": [32, 32]}}
    return Found(records, folders, GateSection())


def test_a_row_comes_back_from_the_folder_of_the_step_that_decided(found: Found, tmp_path: Path) -> None:
    row = val_row(ALONE, found)
    assert (row.status, row.params, row.macs_at) == ("refused", 5, (32, 32)) and "gates.max_dice_drop" in str(
        row.reason
    )
    save_rows(tmp_path, [row])
    assert load_rows(tmp_path) == [row]
    (stored,) = json.loads((tmp_path / "rows.json").read_text())
    for damaged in (stored | {"bytes": "many"}, stored | {"new": 1}, {k: v for k, v in stored.items() if k != "skill"}):
        (tmp_path / "rows.json").write_text(json.dumps([damaged]))
        with pytest.raises(ConfigError, match=r"rows\.json: row student_alone\.(bytes|new|skill)"):
            load_rows(tmp_path)


def test_test_is_added_to_what_val_decided_and_val_is_not_looked_at_again(found: Found) -> None:
    row = val_row(ALONE, found)
    assert row.accuracy.keys() == {"val"} and row.dice_drop_vs_teacher is not None
    for layout in (TEACHER, ALONE):
        shutil.rmtree(found.files(layout, "val"))
    whole = with_test(row, ALONE, found)
    assert whole.dice_drop_vs_teacher is not None
    assert whole.dice_drop_vs_teacher["val"] == row.dice_drop_vs_teacher["val"]
    teacher, own = (found.summary(layout, "test") for layout in (TEACHER, ALONE))
    assert whole.accuracy["test"] == own and teacher is not None and own is not None
    drop = whole.dice_drop_vs_teacher["test"]
    assert drop is not None and drop["mean"] == pytest.approx(teacher["dice_mean"] - own["dice_mean"])
    assert drop["budget"] == GateSection().max_total_dice_drop
    assert (whole.status, whole.reason, whole.agreement_vs_parent) == (row.status, row.reason, row.agreement_vs_parent)


def test_a_file_that_was_not_made_is_a_row_with_its_reason(found: Found) -> None:
    missing = {"result": {"status": "not measured", "reason": "it failed", "summary": None}}
    records = dict(found.records) | {score_step(ALONE, split): missing for split in ("val", "test")}
    records |= {ALONE.file: {"result": {"status": "failed", "reason": "it failed"}}}
    bare = dataclasses.replace(found, records=records)
    row = with_test(val_row(ALONE, bare), ALONE, bare)
    assert (row.status, row.reason, row.accuracy) == ("failed", "it failed", {"val": None, "test": None})
    assert row.dice_drop_vs_teacher is None and row.skill is None
