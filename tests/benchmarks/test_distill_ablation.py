"""The ablation of distillation: options by seed, nothing done twice, differences paired by seed."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgeseg.runtime.errors import ConfigError

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "networks" / "distill_ablation.py"
RECIPE = """\
name: tiny
data: {name: synthetic, synthetic_images: 12, synthetic_px: 64}
geometry: {mode: resize, height_px: 32, width_px: 32}
train: {batch_size: 4, validate_every: 1, workers: 0, threads: 1, augment: {p_elastic: 0, p_grid: 0}}
teacher: {base: 4, depth: 2, epochs: 1}
student: {width: 0.25, depth: 0.34, stages: 3, epochs: 1}
"""


def _script():
    spec = importlib.util.spec_from_file_location("distill_ablation", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_differences_are_paired_by_seed() -> None:
    def row(dice: float) -> dict[str, object]:
        return {"dice": dice, "asked": None, "wall_s": 2.0}

    found = _script().table({"plain": {0: row(0.5), 1: row(0.7)}, "flips": {0: row(0.53), 1: row(0.69)}})
    assert found["flips"]["points_against_plain"] == [3.0, -1.0]
    assert found["flips"]["mean_points_against_plain"] == 1.0 and found["flips"]["mean"] == 0.61
    assert found["plain"]["mean_points_against_plain"] == 0.0 and found["plain"]["wall_s"] == 4.0


def test_options_are_named_settings() -> None:
    options_of = _script().options_of
    assert options_of(["a=x.y=1,x.z=2"]) == {"plain": [], "a": ["x.y=1", "x.z=2"]}
    for wrong in (["a"], ["plain=x=1"], ["a=x=1", "a=x=2"]):
        with pytest.raises(ConfigError, match="--option is"):
            options_of(wrong)


@pytest.mark.slow
def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the script trains")
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    command = [
        sys.executable,
        str(SCRIPT),
        str(tmp_path / "recipe.yaml"),
        "--out",
        str(tmp_path / "out"),
        "--seeds",
        "4",
    ]
    command += ["--option", "sure=distill.calibrate=true"]
    first = subprocess.run(command, capture_output=True, text=True, check=True, timeout=240)
    found = json.loads(first.stdout)
    assert list(found) == ["plain", "sure"] and found["sure"]["asked"][0]["members"] == 1
    assert found["plain"]["asked"] == [None] and list(found["plain"]["dice"]) == ["4"]
    done = (tmp_path / "out/seed_4/tiny/steps/teacher/done.json").stat().st_mtime_ns
    again = subprocess.run(command, capture_output=True, text=True, check=True, timeout=240)
    assert again.stdout == first.stdout
    assert (tmp_path / "out/seed_4/tiny/steps/teacher/done.json").stat().st_mtime_ns == done
