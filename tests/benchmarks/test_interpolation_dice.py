import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_way_of_shrinking_is_scored_against_that_of_the_training(synthetic_dir):
    command = [sys.executable, str(ROOT / "benchmarks/frames/interpolation_dice.py")]
    command += [str(ROOT / "demo/demo.edgeseg"), str(synthetic_dir), "--split", "test"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout)
    own = found["trained_with"]
    assert set(found["dice_mean"]) == {"area", "halving", "linear", "nearest"} and own in found["dice_mean"]
    assert found["drop"][own]["mean"] == 0 and found["n_images"] >= 2
    for way, drop in found["drop"].items():
        assert abs(found["dice_mean"][own] - found["dice_mean"][way] - drop["mean"]) < 1e-9
    assert len(set(found["dice_mean"].values())) > 1  # enlarged frames: linear and nearest are two things
