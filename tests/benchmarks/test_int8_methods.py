"""What each method of quantizing is worth: one run's network, the files of every method, against FP32."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "files" / "int8_methods.py"
RECIPE = "name: toy\ndata: {name: toy}\ngeometry: {mode: resize, height_px: 48, width_px: 48}\nquantize: {images: 8}\n"


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), str(folder / "recipe.yaml"), "--data", str(folder / "data"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


@pytest.mark.slow
def test_every_method_is_held_against_fp32_and_against_the_first(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the script quantises")
    from ..pipeline.int8_cases import torch_infer, unet, write_data, write_run

    net = unet("outlier")
    data = write_data(tmp_path / "data", torch_infer(net))
    root = write_run(tmp_path / "runs" / "toy", data, net)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    before = sorted(root.rglob("*"))
    asked = "--targets", "x86-ort", "--networks", "plain", "corrected", "--ranges", "minmax", "percentile"
    done = _run(tmp_path, *asked)
    assert done.returncode == 0, done.stderr
    assert sorted(root.rglob("*")) == before, "the run's folder is only read"
    found = json.loads(done.stdout)["x86-ort"]
    methods = [f"{ranges} of {network}" for ranges in ("minmax", "percentile") for network in ("plain", "corrected")]
    assert list(found) == ["fp32", *methods]
    assert found["minmax of plain"]["against_first"]["mean"] == 0.0
    # One channel takes the range of all; the network's own answer is the truth.
    assert found["fp32"]["dice"] == 1.0 and found["minmax of plain"]["against_fp32"]["mean"] < -0.5
    for one in methods:
        points = 100 * (found[one]["dice"] - found["fp32"]["dice"])
        assert found[one]["against_fp32"]["mean"] == pytest.approx(points, abs=1e-3)
        assert found[one]["against_fp32"]["lo95"] <= found[one]["against_fp32"]["mean"]


def test_a_run_that_is_not_there_is_said_in_one_line(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the script quantises")
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    done = _run(tmp_path, "--runs", "elsewhere")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "holds no finished step choose_final; run the recipe with --only choose_final first" in done.stderr
