"""The parent's side of a meter: its process runs from before the measurement until after it, idle times included."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.benchmarks.meters import CSV, known_meter
from edgeseg.benchmarks.meters.contract import Sensor
from edgeseg.benchmarks.meters.csv_file import FromFile
from edgeseg.benchmarks.meters.trace import PowerTrace, Stretch
from edgeseg.runtime.errors import MeasureError

_SAMPLER = (sys.executable, "-m", "edgeseg.benchmarks.meters.sampler")
_IDLE_READINGS = 20
# Measuring time per variant where nobody says another: more than the blocks need to last for an energy [s].
METERED_S = 15.0
# After the last worker has ended its memory is given back and clocks fall.
_CALM_S = 1.0
_END_S = 2.0


@dataclass
class Watched:
    """What a measurement gets to know of its meter: after it, the readings or the reason why there are none."""

    trace: PowerTrace | None = None
    reason: str = "no power meter was named"


@contextmanager
def watching(meter: str | None, idle_s: float, root: Path = Path("/")) -> Iterator[Watched]:
    """Read a meter while the block runs.

    Args:
        meter: `auto`, or NAME or NAME:WHICH; `None` reads nothing.
        idle_s: How long the idle machine is read before and after, and at least 20 readings [s].
        root: Where `/sys` is; a recorded tree in tests.

    Yields:
        Filled in when the block has ended.

    Raises:
        MeasureError: There is no such meter here, or it cannot be used: before anything is measured.
    """
    watched = Watched()
    if meter is None:
        yield watched
        return
    source = FromFile(meter) if known_meter(meter) == CSV else _Process(meter, root)
    try:
        before = source.idle(idle_s)
        yield watched
        time.sleep(_CALM_S)
        after = source.idle(idle_s)
        watched.trace, watched.reason = source.end(before, after)
    finally:
        source.stop()


class _Process:
    """A sensor of this machine, read by a process of its own."""

    def __init__(self, meter: str, root: Path) -> None:
        pipe = subprocess.PIPE
        # In a session of its own: Ctrl-C is for the parent, whose end closes the pipe.
        self._process = subprocess.Popen(_SAMPLER, stdin=pipe, stdout=pipe, text=True, start_new_session=True)  # noqa: S603
        assert self._process.stdin and self._process.stdout
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        with suppress(BrokenPipeError):  # it ended at once; what follows says so
            self._stdin.write(json.dumps({"meter": meter, "root": str(root)}) + "\n")
            self._stdin.flush()
        found = self._line()
        if "sensor" not in found:
            self.stop()
            raise MeasureError(found.get("error", "the meter's process ended before its first word"))
        self.sensor = Sensor.from_json(found["sensor"])
        time.sleep(2 / self.sensor.rate_hz)  # the first reading is there before the first stretch begins

    def idle(self, seconds: float) -> Stretch:
        """Let the machine be, and say when that was."""
        wait_s = max(seconds, _IDLE_READINGS / self.sensor.rate_hz)
        start = time.perf_counter_ns()
        time.sleep(wait_s)
        return Stretch(start, time.perf_counter_ns())

    def end(self, before: Stretch, after: Stretch) -> tuple[PowerTrace | None, str]:
        """The readings, or why there are none."""
        time.sleep(2 / self.sensor.rate_hz)  # one more reading, so that the last stretch has its end
        self._stdin.close()
        said = self._line()
        if "t_ns" not in said:
            return None, f"the process that read {self.sensor.sensor} ended early"
        share = said["cpu_s"] / said["wall_s"] if said["wall_s"] > 0 else None
        trace = PowerTrace(
            self.sensor, tuple(said["t_ns"]), tuple(said["values"]), said["failed"], share, before, after
        )
        return trace, ""

    def stop(self) -> None:
        """End the process, if it does not end by itself: only then it gives back what its meter holds."""
        if not self._stdin.closed:
            with suppress(OSError):
                self._stdin.close()
        self._stdout.close()  # readings that nobody wants must not hold it up
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
        self._process.kill()
        self._process.wait()

    def _line(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self._stdout.readline()))
        except ValueError:
            return {}
