import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "networks" / "training_step.py"


@pytest.mark.slow
def test_it_prints_the_steps_of_teacher_and_student_and_their_ratio():
    """Without a bound on the times: those of a busy machine say nothing."""
    pytest.importorskip("torch", reason="the script trains")
    command = [sys.executable, str(SCRIPT), "--size", "64", "--turns", "1", "--steps", "1"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=240).stdout)
    for name in ("teacher", "student"):
        for step in found[name].values():
            assert step["repeatable_ms"] > 0
            assert step["times_as_long"] == pytest.approx(step["repeatable_ms"] / step["not_repeatable_ms"], rel=0.05)
