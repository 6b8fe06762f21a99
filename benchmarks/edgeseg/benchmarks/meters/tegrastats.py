"""NVIDIA's `tegrastats`, where the sensors' files cannot be read: its line once per interval, rails in milliwatt."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import IO

from edgeseg.benchmarks.meters.contract import Meter, Sensor
from edgeseg.benchmarks.meters.rails import board_total

_INTERVAL_S = 0.1
# Stale after this: the program hangs, and its last line is no reading.
_STALE_S = 1.0
# `NAME now[mW]/average[mW]`, with a third value since JetPack 7. Words before it (`CPU [`, `GPU@`) have no such
# pair, and `RAM 534/3964MB` has another unit.
_RAIL = re.compile(r"(?<!\S)([A-Za-z]\w*) (-?\d+)(?:mW)?/(-?\d+)(?:mW)?(?:/-?\d+(?:mW)?)?(?=\s|$)")


def rails_of(line: str) -> list[tuple[str, float]]:
    """The rails of a line and the power of each now [W], in the order printed; `NC` may be there twice."""
    return [(name, float(now) / 1e3) for name, now, _ in _RAIL.findall(line)]


def total_of(line: str, names: tuple[str, ...]) -> float:
    """The sum of the rails of these names [W].

    Raises:
        ValueError: The line lacks one of them.
    """
    rails = rails_of(line)
    missing = set(names) - {name for name, _ in rails}
    if missing:
        raise ValueError(f"tegrastats printed no {', '.join(sorted(missing))}")
    return sum(watts for name, watts in rails if name in names)


def find(root: Path, argument: str = "") -> Meter | None:
    """The board's total as `tegrastats` prints it; `root` and `argument` mean nothing to it."""
    del root, argument
    program = shutil.which("tegrastats")
    if program is None:
        return None
    lines = _Lines(program)
    first = lines.wait()
    names, covers = board_total([name for name, _ in rails_of(first)]) if first else ((), "")
    if not names:
        lines.close()
        return None
    sensor = Sensor(
        "tegrastats",
        "tegrastats",
        names,
        covers,
        "power_w",
        1 / _INTERVAL_S,
        None,
        "whole milliwatt of readings that tegrastats takes when it likes; read the sensors themselves where possible",
        settings={"interval_ms": f"{_INTERVAL_S * 1e3:.0f}"},
    )
    return Meter(sensor, lambda: total_of(lines.latest(), names), lines.close)


class _Lines:
    """The program's latest line; a thread takes them up, or the pipe would hand out old ones."""

    def __init__(self, program: str) -> None:
        command = (program, "--interval", f"{_INTERVAL_S * 1e3:.0f}")
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace")  # noqa: S603
        assert self._process.stdout
        self._line, self._at, self._came = "", 0.0, threading.Event()
        threading.Thread(target=self._take, args=(self._process.stdout,), daemon=True).start()

    def wait(self) -> str:
        """The first line, or nothing."""
        self._came.wait(timeout=5)
        return self._line

    def latest(self) -> str:
        """The latest line.

        Raises:
            OSError: None came for a second.
        """
        if time.monotonic() - self._at > _STALE_S:
            raise OSError("tegrastats has stopped printing")
        return self._line

    def close(self) -> None:
        """End the program."""
        self._process.kill()
        self._process.wait()

    def _take(self, stdout: IO[str]) -> None:
        for line in stdout:
            self._line, self._at = line, time.monotonic()
            self._came.set()
