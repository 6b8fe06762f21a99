"""The documentation's table of a fit holds what fit.json holds, and nothing is typed by hand."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
DROP = {"mean": -0.012, "lo95": -0.051, "hi95": 0.004, "verdict": "not worse"}


@pytest.fixture(scope="module")
def fit_table():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        spec = importlib.util.spec_from_file_location("fit_table", FOLDER / "fit_table.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    return module


def scores(dice: float, **others: float) -> dict:
    return {"accuracy": {split: {"dice_mean": dice} | others for split in ("val", "test")}}


def record() -> dict:
    regions = {"region_recall": 0.9, "small_region_recall": 0.5, "false_regions_per_negative_frame": 0.25}
    reference = {"dice_drop": {"val": DROP, "test": DROP}}
    shipped = {
        "teacher_bytes": 31_000_000,
        "bytes": 250_000,
        "speedup_vs_teacher": {"ratio": 81.2, "lo95": 78.9, "hi95": 84.0},
        "references": {"teacher": scores(0.7, **regions) | reference, "fp32": scores(0.713) | reference},
    } | scores(0.712, **regions)
    seeds = [{"seed": 0, "dice_mean": 0.74}, {"seed": 1, "dice_mean": 0.73}]
    cost = {"latency_ms": 1.04, "bytes": 250_000, "macs": 41_000_000}
    one = {"name": "pruned", "note": "cut", "seeds": seeds, "val_dice_mean": 0.735, "figures": cost}
    return {
        "status": "ok",
        "sentence": "It ships.",
        "command": "edgeseg fit recipes/x.yaml",
        "created": "2026-11-21T10:00:00+00:00",
        "edgeseg_version": "0.1.0",
        "git_commit": "0123456789abcdef",
        "recipe": {"name": "x"},
        "target_identity": "x86-ort | Example CPU",
        "student": {"dice_mean": 0.742, "figures": cost | {"latency_ms": 3.77}},
        "finalists": [one],
        "missing_baselines": {"flat_unet": "cannot be made small enough"},
        "chosen": {"name": "pruned", "shipped": shipped},
        "prediction": {"median_error": 0.064},
        "time": {"trainings_s": 3000.0, "measurements_s": 120.0, "scores_s": 5.0, "total_s": 3125.0},
    }


def test_gains_losses_and_the_contest(fit_table):
    text = fit_table.fit_text(record(), Path("docs/results/fit/x.json"))
    assert "| times the FP32 teacher's speed, same engine, whole pipeline | 81.2 (78.9 to 84.0) |" in text
    assert "| times smaller than the teacher's FP32 file | 124 (250 kB) |" in text
    lost = "| points of Dice lost against the teacher (0.700 / 0.700) | val −1.2 (−5.1 to +0.4, not worse); test −1.2"
    assert lost in text and "against the same network in FP32 (0.713 / 0.713)" in text
    assert "| 0.90 / 0.50 / 0.25 (teacher 0.90 / 0.50 / 0.25) |" in text
    assert "median error | 6.4% |" in text and "| wall time | 52 min: trainings 50, measurements 2 |" in text
    assert "| student | before the cut | 0.742 | 3.77 | 250 | 41 |" in text
    assert "| **pruned**, ships | cut | 0.735 (0.740, 0.730) | 1.04 | 250 | 41 |" in text
    assert "flat_unet: cannot be made small enough." in text
    assert "commit `0123456789`, x86-ort, Example CPU, from `docs/results/fit/x.json`." in text


def test_a_missed_budget_is_said(fit_table):
    missed = record() | {"status": "budget not met", "sentence": "No network holds it.", "detail": "Best: 3 ms"}
    del missed["finalists"], missed["chosen"]
    text = fit_table.fit_text(missed, Path("x.json"))
    assert text.endswith("Best: 3 ms\n") and "No network holds it." in text and "Dice" not in text


def test_a_document_gets_the_block(fit_table, tmp_path, monkeypatch, capsys):
    (tmp_path / "x.json").write_text(json.dumps(record()))
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- fits -->\nold\n<!-- /fits -->\nafter\n")
    monkeypatch.setattr(sys, "argv", ["fit_table.py", str(tmp_path / "x.json"), "--into", str(page), "--check"])
    assert fit_table.main() == 1 and "old" in page.read_text() and "not up to date" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", sys.argv[:-1])
    assert fit_table.main() == 0 and "old" not in page.read_text()
    assert page.read_text().startswith("before\n<!-- fits -->\n**x**. It ships.") and page.read_text().endswith(
        "after\n"
    )
