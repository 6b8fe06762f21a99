"""A meter that another device reads: its file after the run, laid over it by a marker that this machine makes.

The meter's clock is not ours. So before and after the measurement all cores are busy in a pattern that nothing else
makes, and where the power follows that pattern is when it was. Between the two the meter's clock is taken as even.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeseg.benchmarks.meters.contract import Sensor
from edgeseg.benchmarks.meters.replay import read_csv
from edgeseg.benchmarks.meters.trace import PowerTrace, Stretch
from edgeseg.runtime.errors import MeasureError
from edgeseg.runtime.text.terminal import say

# Seconds busy and idle in turns. Uneven, so that the pattern fits itself in one place only.
PATTERN_S = (1.0, 1.5, 0.5, 0.5, 1.5, 1.0)
_COARSE_S, _FINE_S = 0.02, 0.001
# The pattern's contrast must be this many times that of any place that is not a neighbour, and this share of all that
# the power varies by.
_CLEAR, _NEIGHBOUR_S, _SHARE = 1.5, 1.0, 0.1
_WAIT_S, _POLL_S = 1800.0, 1.0
_BUSY = "import sys,time\nend=float(sys.argv[1])\nwhile time.monotonic()<end: pass"

Array = npt.NDArray[np.float64]


class FromFile:
    """`--meter csv:FILE`: marks the run, then waits for the file."""

    def __init__(self, spec: str) -> None:
        name = spec.partition(":")[2]
        if not name:
            raise MeasureError("--meter csv needs the file that will be there after the run: --meter csv:FILE.csv")
        self._file, self._marks = Path(name), list[Stretch]()
        if self._file.exists():
            raise MeasureError(
                f"{self._file} is there already: name the file that the meter's export will be written to"
            )
        _tell("start the power meter's recording; it must run until this command asks for its file")

    def idle(self, seconds: float) -> Stretch:
        """Mark the time, on the outer side of an idle time."""
        if not self._marks:
            self._marks += make_marker()
            return _rest(seconds)
        idle = _rest(seconds)
        self._marks += make_marker()
        return idle

    def end(self, before: Stretch, after: Stretch) -> tuple[PowerTrace | None, str]:
        """Wait for the file and lay it over the run."""
        _tell(f"stop the recording and export it as {self._file}, with the columns t_s and power_w")
        waited = time.monotonic()
        while not self._file.exists():
            if time.monotonic() - waited > _WAIT_S:
                return None, f"the meter's file {self._file.name} did not come within {_WAIT_S / 60:.0f} minutes"
            time.sleep(_POLL_S)
        _wait_until_written(self._file)
        try:
            return aligned(self._file, self._marks, before, after), ""
        except MeasureError as error:
            return None, str(error).replace(str(self._file), self._file.name)

    def stop(self) -> None:
        """Nothing is held."""


def _wait_until_written(file: Path) -> None:
    """An export of many readings takes its time, and half of it would be a run that was cut short."""
    size = -1
    with suppress(OSError):  # gone again: reading it says so
        while size != (size := file.stat().st_size):
            time.sleep(_POLL_S)


def make_marker() -> list[Stretch]:
    """Keep all cores busy in the pattern; the busy stretches."""
    cores, stretches = len(os.sched_getaffinity(0)), []
    for busy_s, idle_s in zip(PATTERN_S[::2], PATTERN_S[1::2], strict=True):
        start, end = time.perf_counter_ns(), time.monotonic() + busy_s
        command = (sys.executable, "-S", "-c", _BUSY, str(end))
        workers = [subprocess.Popen(command) for _ in range(cores)]  # noqa: S603
        for worker in workers:
            worker.wait()
        stretches.append(Stretch(start, time.perf_counter_ns()))
        time.sleep(idle_s)
    return stretches


def aligned(file: Path, marks: list[Stretch], before: Stretch, after: Stretch) -> PowerTrace:
    """The file's readings on this machine's clock.

    Args:
        file: Columns `t_s` (any clock, rising) and `power_w`.
        marks: The busy stretches of both markers, in their order.
        before: The idle time after the first marker.
        after: The idle time before the second.

    Raises:
        MeasureError: The file cannot be used, or the pattern is not found in it.
    """
    times, watts = (np.asarray(column) for column in read_csv(file))
    offset = _offset(times, watts, marks, file)
    half = len(marks) // 2
    ends = []
    for part in (marks[:half], marks[half:]):  # each end by itself: the clocks drift apart in between
        near = np.arange(offset - 0.3, offset + 0.3, _FINE_S)
        middle = (part[0].start_ns + part[-1].end_ns) / 2e9
        ends.append((middle, middle + float(near[np.argmax(_contrast(times, watts, part, near))])))
    (ours_0, theirs_0), (ours_1, theirs_1) = ends
    pace = (ours_1 - ours_0) / (theirs_1 - theirs_0)
    t_ns = np.rint((ours_0 + (times - theirs_0) * pace) * 1e9).astype(np.int64)
    sensor = Sensor(
        "csv",
        f"file {file.name}",
        ("as wired",),
        "what the meter was wired to",
        "power_w",
        (times.size - 1) / float(times[-1] - times[0]),
        None,
        "the meter's own, not known here; laid over the run by its marker",
        evidence="imported",
        settings={"clock_pace": f"{pace:.6f}"},
    )
    rising = tuple(np.maximum.accumulate(t_ns).tolist())
    return PowerTrace(sensor, rising, tuple(map(float, watts)), 0, None, before, after)


def _offset(times: Array, watts: Array, marks: list[Stretch], file: Path) -> float:
    """What to add to our clock for the meter's [s]."""
    first, last = marks[0].start_ns / 1e9, marks[-1].end_ns / 1e9
    candidates = np.arange(times[0] - first, times[-1] - last + _COARSE_S, _COARSE_S)
    if not candidates.size:
        raise MeasureError(
            f"{file} holds {times[-1] - times[0]:.1f} s, the run took {last - first:.1f} s: start the recording before "
            "the run and end it after"
        )
    contrast = _contrast(times, watts, marks, candidates)
    best = int(np.argmax(contrast))
    others = contrast[np.abs(candidates - candidates[best]) > _NEIGHBOUR_S]
    low, high = np.percentile(watts, [1, 99])
    if contrast[best] <= _SHARE * (high - low) or (others.size and contrast[best] < _CLEAR * others.max()):
        raise MeasureError(
            f"the marker is not found in {file}: does the meter measure this machine, at 10 readings a second or more?"
        )
    return float(candidates[best])


def _contrast(times: Array, watts: Array, marks: list[Stretch], offsets: Array) -> Array:
    """How much more power the busy stretches take than the pauses between them, for each offset [W], shape (n,)."""
    energy = np.concatenate([[0.0], np.cumsum((watts[1:] + watts[:-1]) / 2 * np.diff(times))])

    def mean(start_ns: int, end_ns: int) -> Array:
        ends = [np.interp(offsets + at / 1e9, times, energy) for at in (start_ns, end_ns)]
        return np.asarray((ends[1] - ends[0]) / ((end_ns - start_ns) / 1e9))

    half = len(marks) // 2
    parts = [marks[:half], marks[half:]]
    busy = [mean(mark.start_ns, mark.end_ns) for mark in marks]
    pauses = [mean(a.end_ns, b.start_ns) for part in parts for a, b in pairwise(part)]
    # The least busy stretch against the busiest pause: one wrong place is enough to be no match.
    return np.asarray(np.min(busy, axis=0) - np.max(pauses, axis=0))


def _rest(seconds: float) -> Stretch:
    start = time.perf_counter_ns()
    time.sleep(seconds)
    return Stretch(start, time.perf_counter_ns())


def _tell(text: str) -> None:
    say(f"power meter: {text}")
