import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "frames" / "pipeline_overhead.py"


def test_it_prints_both_pipelines_and_their_ratio():
    """Without a bound on the times: those of a busy machine say nothing."""
    command = [sys.executable, str(SCRIPT), "--size", "64", "--seconds", "0.1", "--processes", "2"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout)
    for name in ("plain", "runtime"):
        assert found["p50_ms"][name]["pre_and_post"] > 0 and found["p50_ms"][name]["n"] >= 16
    assert found["runtime_is_faster"]["ratio"] > 0 and found["runtime_is_faster"]["n_processes"] == 2
