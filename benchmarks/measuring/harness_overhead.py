"""What measuring adds to what is measured: the loop around a millisecond of work, and the process that reads power.

    python benchmarks/measuring/harness_overhead.py --seconds 20

prints one JSON object. `loop`: the same work in a bare loop and in the harness's own, A B A B; how much longer a call
takes there [%], and how far the median of its samples is from the bare loop's time of a call [%]. `sampler`: the share
of a core that reading takes [%], of a Jetson's three rails laid out as files and of a Raspberry Pi 5's program, which
here prints a recorded reading: starting it costs what it costs here, the firmware's part is not in it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.benchmarks.machine.environment import read_device
from edgeseg.benchmarks.machine.turns import Turns
from edgeseg.benchmarks.meters.watch import watching
from edgeseg.benchmarks.subject import Frame
from edgeseg.benchmarks.timing.clock import MachineClock
from edgeseg.benchmarks.timing.loop import time_block

WORK_NS = 1_000_000
BLOCK_CALLS = 100
FRAME = np.zeros((1, 1), np.uint8)
# Of the three rails of a Jetson's chip, in the kernel's files.
RAILS = {"VDD_GPU_SOC": (4968, 2880), "VDD_CPU_CV": (4968, 640), "VIN_SYS_5V0": (4976, 3168)}
PMIC = Path(__file__).resolve().parents[2] / "tests/data/boards/pi5_pmic.txt"


class Work:
    """Stages of which one does a millisecond of work that is the same each time: a hash of so many bytes."""

    engine = "none"

    def __init__(self) -> None:
        self._bytes = bytes(1 << 20)
        clock = MachineClock()
        took = [time_block(self, FRAME, 20, clock) for _ in range(5)]
        per_byte = 1e6 * min(block.stage_ms("total").min() for block in took) / len(self._bytes)
        self._bytes = bytes(round(WORK_NS / per_byte))

    def prepare(self, frame: Frame, /) -> Frame:
        """Nothing."""
        return frame

    def infer(self, prepared: Frame, /) -> bytes:  # noqa: ARG002
        """The work."""
        return hashlib.sha256(self._bytes).digest()

    def finish(self, scores: bytes, prepared: Frame, /) -> Frame:  # noqa: ARG002
        """Nothing."""
        return prepared

    def close(self) -> None:
        """Nothing."""


def loop_overhead(seconds: float) -> dict[str, float]:
    """Of the harness's loop over a bare one, block by block in turns."""
    work, clock = Work(), MachineClock()
    longer, apart, calls = [], [], []
    for _ in range(max(5, round(seconds * 1e9 / (2 * BLOCK_CALLS * WORK_NS)))):
        start = clock.now_ns()
        for _ in range(BLOCK_CALLS):
            work.infer(FRAME)
        bare = (clock.now_ns() - start) / BLOCK_CALLS
        start = clock.now_ns()
        block = time_block(work, FRAME, BLOCK_CALLS, clock)
        harness = (clock.now_ns() - start) / BLOCK_CALLS
        sample_ns = 1e6 * float(np.median(block.stage_ms("total")))
        longer.append(100 * (harness / bare - 1))
        apart.append(100 * (sample_ns / bare - 1))
        calls.append(bare / 1e6)
    return {
        "blocks": len(calls),
        "call_ms": statistics.median(calls),
        "longer_percent": statistics.median(longer),
        "samples_apart_percent": statistics.median(apart),
    }


def sampler_share(meter: str, root: Path, seconds: float) -> dict[str, Any]:
    """Of a core, by the sampler's own account: its process and the programs it starts."""
    with watching(meter, seconds / 2, root) as watched:
        pass
    trace = watched.trace
    if trace is None:
        return {"percent": None, "reason": watched.reason}
    span_s = (trace.t_ns[-1] - trace.t_ns[0]) / 1e9
    return {
        "percent": 100 * (trace.cpu_share or 0.0),
        "readings": len(trace.t_ns),
        "readings_per_s": (len(trace.t_ns) - 1) / span_s,
        "sensor_per_s": trace.sensor.rate_hz,
    }


def jetson(root: Path) -> None:
    """An INA3221 as the kernel shows it."""
    chip = root / "sys/class/hwmon/hwmon1"
    chip.mkdir(parents=True)
    files = {"name": "ina3221"}
    for channel, (rail, (millivolt, milliampere)) in enumerate(RAILS.items(), 1):
        files |= {f"in{channel}_label": rail, f"in{channel}_input": str(millivolt)}
        files |= {f"curr{channel}_input": str(milliampere)}
    for name, content in files.items():
        (chip / name).write_text(f"{content}\n")


def vcgencmd(folder: Path) -> None:
    """A program of that name, first on PATH."""
    folder.mkdir()
    program = folder / "vcgencmd"
    program.write_text(f"#!/bin/sh\nexec cat {PMIC}\n")
    program.chmod(0o755)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"


def main() -> int:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each of the three")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Turns().measuring():
        root = Path(folder)
        jetson(root / "jetson")
        vcgencmd(root / "programs")
        found = {
            "loop": loop_overhead(given.seconds),
            "sampler": {
                "jetson-ina3221": sampler_share("jetson-ina3221", root / "jetson", given.seconds),
                "pi5-pmic": sampler_share("pi5-pmic", root, given.seconds),
            },
            "device": read_device().to_json(),
        }
    print(json.dumps(found, indent=2))  # noqa: T201  the script's result
    return 0


if __name__ == "__main__":
    sys.exit(main())
