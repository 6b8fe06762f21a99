import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "tables" / "crossval_table.py"


def accuracy(n_images: int, false: float | str) -> dict[str, object]:
    found = {"n_images": n_images, "region_recall": 0.8125, "small_region_recall": 0.5, "n_regions": 96}
    return {
        name: found | {"dice_mean": dice, "false_regions_per_negative_frame": false}
        for name, dice in (("teacher", 0.7), ("student", 0.71), ("shipped", 0.695))
    }


def record(false: float | str) -> dict[str, object]:
    drop = {"mean": 0.005, "lo95": -0.01, "hi95": 0.02, "verdict": "not shown"}
    fold = {"fold": 0, "status": "ok", "reason": None, "images": {"test": 49}, "network": "pruned", "bytes": 265_000}
    fold |= {"latency_ms": {"total": {"p50": 1.07}}, "speedup_vs_teacher": {"ratio": 66.0, "lo95": 64.0, "hi95": 68.0}}
    fold |= {"accuracy": accuracy(49, false), "drop": drop, "git_commit": "0123456789ab", "target_identity": "x86 | A"}
    left = {"fold": 1, "status": "not run", "reason": "not among --fold", "images": {"test": 48}}
    return {
        "recipe": {"name": "nerves"},
        "sentence": "not shown: these images cannot tell.",
        "command": "edgeseg crossval nerves --folds 2",
        "created": "2026-11-25T10:00:00+00:00",
        "edgeseg_version": "0.1.0",
        "folds": [fold, left],
        "pooled": {"accuracy": accuracy(49, false), "drop": drop, "recall_drop": drop},
    }


def run(path: Path, *options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), str(path), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("false", [0.14, "not estimable (0 negatives)"])
def test_folds_and_their_sum(tmp_path: Path, false: float | str) -> None:
    path = tmp_path / "nerves.json"
    path.write_text(json.dumps(record(false)))
    text = run(path).stdout
    drop = "+0.5 (\N{MINUS SIGN}1.0 to +2.0, not shown)"
    assert f"| 0 | 49 | pruned | 0.700 | 0.710 | 0.695 | {drop} | 1.07 | 66.0 (64.0 to 68.0) | 265 |" in text
    assert f"| all | 49 |  | 0.700 | 0.710 | 0.695 | {drop} | – | – | – |" in text
    assert "| 1 | 48 | not run | – | – | – | – | – | – | – |" in text
    assert "Fold 1 is not run: not among --fold." in text
    assert "commit `0123456789`, x86, A, from" in text and "not shown: these images" in text
    assert ("| shipped | 0.812 | 0.500 | 0.140 |" in text) is isinstance(false, float)
    assert (f"Regions lost from teacher to shipped, of 96: {drop} points." in text) is isinstance(false, float)


def test_what_a_fold_s_speed_is_compared_with_is_named(tmp_path: Path) -> None:
    path, found = tmp_path / "nerves.json", record(0.1)
    old = json.dumps(found)
    new = old.replace("speedup_vs_teacher", "speedup_vs_reference")
    for text, whom in ((old, "teacher"), (new, "reference")):
        path.write_text(text)
        table = run(path).stdout
        assert f"| speed-up vs {whom} |" in table and "| 66.0 (64.0 to 68.0) |" in table
    both = [json.loads(new)["folds"][0], json.loads(old)["folds"][0] | {"fold": 1}]
    path.write_text(json.dumps(found | {"folds": both}))
    table = run(path).stdout
    assert "| speed-up |" in table
    assert "66.0 (64.0 to 68.0) vs reference |" in table and "66.0 (64.0 to 68.0) vs teacher |" in table


def test_nothing_tested_is_told(tmp_path: Path) -> None:
    path = tmp_path / "nerves.json"
    path.write_text(json.dumps(record(0.1) | {"pooled": None, "sentence": "No fold has a network."}))
    text = run(path).stdout
    assert "No fold has a network." in text and "| all |" not in text


def test_into_a_document(tmp_path: Path) -> None:
    path, document = tmp_path / "nerves.json", tmp_path / "results.md"
    path.write_text(json.dumps(record(0.1)))
    document.write_text("before\n<!-- crossvals -->\nold\n<!-- /crossvals -->\nafter\n")
    assert run(path, "--into", document, "--check").returncode == 1
    assert run(path, "--into", document).returncode == 0
    assert run(path, "--into", document, "--check").returncode == 0
    assert "\nold\n" not in document.read_text() and document.read_text().endswith("after\n")
