"""A recording of power played again in its own time, as if a sensor gave it: for tests and demonstrations."""

from __future__ import annotations

import bisect
import csv
import math
import time
from itertools import pairwise
from pathlib import Path

from edgeseg.benchmarks.meters.contract import Meter, Sensor
from edgeseg.runtime.errors import MeasureError

_RATE_HZ = 50.0
COLUMNS = ("t_s", "power_w")


def read_csv(path: Path) -> tuple[list[float], list[float]]:
    """Times [s] and power [W] of a CSV file with the columns `t_s` and `power_w`, others beside them.

    Raises:
        MeasureError: It cannot be read, lacks a column, holds no numbers, or its times do not rise.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if not set(COLUMNS) <= set(rows.fieldnames or ()):
                raise MeasureError(f"{path} has the columns {rows.fieldnames}: t_s and power_w are needed")
            pairs = [(_number(row["t_s"], path, n), _number(row["power_w"], path, n)) for n, row in enumerate(rows, 2)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MeasureError(f"{path} cannot be read: {error}") from error
    times = [pair[0] for pair in pairs]
    fallen = next((n for n, (a, b) in enumerate(pairwise(times), 3) if not b > a), None)
    if len(pairs) < 2 or fallen:
        raise MeasureError(
            f"{path}, line {fallen}: t_s does not rise" if fallen else f"{path} holds {len(pairs)} readings"
        )
    return times, [pair[1] for pair in pairs]


def _number(text: str | None, path: Path, line: int) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise MeasureError(f"{path}, line {line}: {text!r} is no number")
    return value


def find(root: Path, argument: str = "") -> Meter | None:
    """The recording of a CSV file (`replay:FILE`), from its start when it is opened, over and over.

    Raises:
        MeasureError: No file was named, or it cannot be used.
    """
    del root
    if not argument:
        raise MeasureError(
            "--meter replay needs its recording: --meter replay:FILE.csv with the columns t_s and power_w"
        )
    times, watts = read_csv(Path(argument))
    length, opened = times[-1] - times[0], time.monotonic()

    def read() -> float:
        at = times[0] + (time.monotonic() - opened) % length
        after = min(max(bisect.bisect_right(times, at), 1), len(times) - 1)
        share = (at - times[after - 1]) / (times[after] - times[after - 1])
        return watts[after - 1] + share * (watts[after] - watts[after - 1])

    rate = min(_RATE_HZ, (len(times) - 1) / length)
    sensor = Sensor(
        "replay",
        f"recording {Path(argument).name}",
        ("recorded",),
        "what the recording says; nothing of this machine",
        "power_w",
        rate,
        None,
        "a recording says nothing of what runs now",
        evidence="replayed",
    )
    return Meter(sensor, read)
