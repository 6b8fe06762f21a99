import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "fit_table.py"


def drop(mean: float) -> dict[str, object]:
    return {"mean": mean, "lo95": mean - 0.01, "hi95": mean + 0.01, "verdict": "not shown"}


def accuracy(dice: float) -> dict[str, object]:
    return {split: {"dice_mean": dice, "false_regions_per_negative_frame": "none"} for split in ("val", "test")}


FIGURES = {"latency_ms": 1.23, "bytes": 300_000, "macs": 40e6}
REFERENCES = {
    name: {"accuracy": accuracy(0.74), "dice_drop": {"val": drop(0.01), "test": None}} for name in ("teacher", "fp32")
}
FIT = {
    "recipe": {"name": "ultrasound"},
    "status": "ok",
    "sentence": "The pruned network ships.",
    "command": "edgeseg fit recipes/ultrasound.yaml",
    "created": "2026-11-21T10:00:00+00:00",
    "edgeseg_version": "0.1.0",
    "git_commit": "0123456789abcdef",
    "target_identity": "x86-ort | Example CPU",
    "student": {"dice_mean": 0.75, "figures": FIGURES | {"latency_ms": 5.0}},
    "finalists": [
        {
            "name": "pruned",
            "note": "the student pruned",
            "figures": FIGURES,
            "val_dice_mean": 0.735,
            "seeds": [{"dice_mean": 0.73}, {"dice_mean": 0.74}],
        }
    ],
    "missing_baselines": {"flat_unet": "left out by fit.baselines"},
    "chosen": {
        "name": "pruned",
        "shipped": {
            "bytes": 300_000,
            "teacher_bytes": 31_000_000,
            "speedup_vs_teacher": {"ratio": 60.4, "lo95": 58.0, "hi95": 62.0},
            "accuracy": accuracy(0.73),
            "references": REFERENCES,
            "plan_files": {
                "pairs": [
                    {
                        "status": "ok",
                        "pixels_differ": 0.0012,
                        "dice_difference": -0.0008,
                        "lo95": -0.003,
                        "hi95": 0.001,
                    },
                    {"status": "ok", "pixels_differ": 0.0015, "dice_difference": None},
                    {"status": "left out", "pixels_differ": None, "dice_difference": None},
                ]
            },
        },
    },
    "prediction": {"median_error": 0.08},
    "time": {"trainings_s": 3600.0, "scores_s": 10.0, "total_s": 3610.0},
}


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    path = tmp_path / "ultrasound.json"
    path.write_text(json.dumps(FIT))
    return path


def run(*arguments: object):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_what_ships_and_the_contest(recorded: Path) -> None:
    text = run(recorded).stdout
    assert "| times the FP32 teacher's speed, same engine, whole pipeline | 60.4 (58.0 to 62.0) |" in text
    assert "| times smaller than the teacher's FP32 file | 103 (300 kB) |" in text
    lost = "val +1.0 (+0.0 to +2.0, not shown); test – |"  # test has no foreground
    assert f"| points of Dice lost against the teacher (0.740 / 0.740) | {lost}" in text
    apart = "0.15 % of the pixels, 0.08 points of Dice (−0.10 to +0.30)"
    assert f"| masks of the plan's files on val, furthest apart of 2 pairs | {apart} |" in text
    assert "| wall time | 60 min: trainings 60 |" in text and "regions found" not in text
    assert "| **pruned**, ships | the student pruned | 0.735 (0.730, 0.740) | 1.23 | 300 | 40 |" in text
    assert "flat_unet: left out by fit.baselines." in text and str(recorded.parent) not in text


def test_regions_found_and_lost_are_told_where_there_are_good_frames(recorded: Path) -> None:
    regions = {"region_recall": 0.93, "small_region_recall": 0.71, "false_regions_per_negative_frame": 0.33}
    fit = copy.deepcopy(FIT)
    shipped = fit["chosen"]["shipped"]
    teacher = shipped["references"]["teacher"]
    for one in (shipped, teacher):
        one["accuracy"]["test"] |= regions
    teacher["recall_drop"] = {"val": drop(0.0), "test": drop(0.02)}
    recorded.write_text(json.dumps(fit))
    text = run(recorded).stdout
    assert "a good frame, test | 0.93 / 0.71 / 0.33 (teacher 0.93 / 0.71 / 0.33) |" in text
    lost = "val +0.0 (−1.0 to +1.0, not shown); test +2.0 (+1.0 to +3.0, not shown)"
    assert f"| points of regions found lost against the teacher | {lost} |" in text


def test_a_budget_that_was_missed_is_told(recorded: Path) -> None:
    missed = {key: FIT[key] for key in ("recipe", "command", "created", "git_commit", "time")}
    recorded.write_text(json.dumps(missed | {"status": "budget not met", "sentence": "No.", "detail": "Best: 3 ms."}))
    done = run(recorded)
    assert done.returncode == 0 and "Best: 3 ms." in done.stdout and "| network |" not in done.stdout


def test_a_document_is_brought_up_to_date(recorded: Path, tmp_path: Path) -> None:
    document = tmp_path / "results.md"
    document.write_text("a\n<!-- fits -->\n<!-- /fits -->\nb\n")
    checked = run(recorded, "--into", document, "--check")
    assert checked.returncode == 1 and "run: python benchmarks/fit_table.py ..." in checked.stderr
    assert run(recorded, "--into", document).returncode == 0
    assert run(recorded, "--into", document, "--check").returncode == 0
    assert document.read_text().startswith("a\n<!-- fits -->\n**ultrasound**") and document.read_text().endswith("b\n")
