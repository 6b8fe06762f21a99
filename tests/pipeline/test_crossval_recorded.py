"""Recorded folds answer the question that today's code asks: the commands of docs/results.md join them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUDGET = "x86-ort_speedup-60_bytes-310000"


# They were recorded before recipes started from published weights and averaged those of a training, and with the soft
# loss averaged by class.
_SCRATCH = (
    "student.init=none",
    "teacher.encoder=none",
    "teacher.batch_size=4",
    "student.learning_rate=3e-3",
    "distill.class_balanced=true",
    "train.ema=0",
)
_EPOCHS = {"ultrasound": (80, 60), "inspection": (40, 45)}
FROM_SCRATCH = {
    name: [word for one in (*_SCRATCH, f"teacher.epochs={own}", f"student.epochs={its}") for word in ("--set", one)]
    for name, (own, its) in _EPOCHS.items()
}


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "options"),
    [
        (
            "ultrasound",
            [
                *("--way", "group_l2-depth", "--set", "distill.views=20", "--set", "gates.max_total_dice_drop=0.02"),
                *("--set", "fit.final_epochs=40"),
            ],
        ),
        (
            "inspection",
            [
                *("--way", "taylor-depth", "--target", "x86-ort"),
                *("--set", "quantize.qat=null", "--set", "gates.max_region_recall_drop=null"),
            ],
        ),
    ],
)
def test_recorded_folds_are_found_and_say_what_they_said(name: str, options: list[str], real_data, tmp_path) -> None:
    data = real_data({"ultrasound": "usgra_nerve_vessel", "inspection": "bsdata_pitting"}[name])
    recorded = ROOT / "docs/results/crossval"
    folds = tmp_path / name / "crossval" / BUDGET
    shutil.copytree(recorded / name, folds)
    command = [sys.executable, "-m", "edgeseg.pipeline.cli", "crossval", str(ROOT / f"recipes/{name}.yaml"), "--join"]
    command += [
        *options,
        *FROM_SCRATCH[name],
        "--set",
        "fit.student=student_distilled",
        "--data",
        str(data),
        "--out",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    joined = json.loads(folds.with_suffix(".json").read_text())
    before = json.loads((recorded / f"{name}.json").read_text())
    assert [row["status"] for row in joined["folds"]] == ["ok"] * 5
    assert joined["sentence"] == before["sentence"]
