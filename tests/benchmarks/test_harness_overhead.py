import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "measuring" / "harness_overhead.py"


def test_it_tells_the_loop_and_both_meters():
    """Without a bound on the shares: those of a busy machine say nothing."""
    command = [sys.executable, str(SCRIPT), "--seconds", "1"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout)
    assert 0.2 < found["loop"]["call_ms"] < 20 and found["loop"]["blocks"] >= 5
    for meter, rate in (("jetson-ina3221", 25), ("pi5-pmic", 10)):
        read = found["sampler"][meter]
        assert read["readings"] >= 2 and read["sensor_per_s"] == rate and 0 < read["percent"] < 100, meter
