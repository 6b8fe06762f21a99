"""A process that does nothing but read a meter: `python -m edgeseg.benchmarks.meters.sampler`.

It is told the meter on its first line of stdin, says on its first line of stdout what it found, and reads until stdin
closes (so it ends with its parent, however that ends). Then it writes its readings, as JSON. Times are those of
`time.perf_counter_ns`, which on Linux is one clock for all processes, so they stand beside a worker's.
"""

from __future__ import annotations

import json
import math
import os
import resource
import select
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeseg.benchmarks.meters import open_meter
from edgeseg.benchmarks.meters.contract import Meter
from edgeseg.runtime.errors import EdgesegError

# The share of a core that reading may take: a meter whose reading costs more is read less often.
MOST_CPU = 0.02


@dataclass
class Readings:
    """What was read, and at what cost.

    Attributes:
        t_ns: Middle of each reading, on the machine's monotonic clock [ns].
        values: In the sensor's quantity [W or J].
        failed: Readings that the sensor did not give.
        cpu_s: CPU time of the process and of programs it started, from the first reading on [s].
        wall_s: Time from the first reading on [s].
    """

    t_ns: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    failed: int = 0
    cpu_s: float = 0.0
    wall_s: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON."""
        return dict(self.__dict__)


def sample(meter: Meter, wait: Any) -> Readings:
    """Read at the sensor's rate until it is enough.

    Args:
        meter: What to read.
        wait: Called with a time [s]; waits so long, and says whether to stop.
    """
    readings, period_s = Readings(), 1 / meter.sensor.rate_hz
    started, cpu_before, next_at = time.perf_counter(), _cpu_s(), time.perf_counter()
    n = 0
    while True:
        _read(meter, readings)
        n += 1
        costs_s = (_cpu_s() - cpu_before) / n
        now = time.perf_counter()
        next_at = max(next_at + max(period_s, costs_s / MOST_CPU), now)
        if wait(next_at - now):
            break
    readings.cpu_s, readings.wall_s = _cpu_s() - cpu_before, time.perf_counter() - started
    return readings


def _read(meter: Meter, readings: Readings) -> None:
    before = time.perf_counter_ns()
    try:
        value = float(meter.read())
    except (OSError, ValueError):
        value = float("nan")
    if not math.isfinite(value):
        readings.failed += 1
        return
    readings.t_ns.append((before + time.perf_counter_ns()) // 2)
    readings.values.append(value)


def _cpu_s() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)  # os.times() counts in hundredths of a second
    return time.process_time() + children.ru_utime + children.ru_stime


def main() -> int:
    """Find the meter, say so, read it, write the readings."""
    job = json.loads(sys.stdin.readline())
    try:
        meter = open_meter(job["meter"], Path(job["root"]))
    except EdgesegError as error:
        _say({"error": str(error)})
        return 1
    _say({"sensor": meter.sensor.to_json()})
    try:
        _say(sample(meter, lambda seconds: bool(select.select([sys.stdin], [], [], seconds)[0])).to_json())
    except BrokenPipeError:  # the measurement was stopped, and nobody wants to know
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        meter.close()
    return 0


def _say(obj: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(obj) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
