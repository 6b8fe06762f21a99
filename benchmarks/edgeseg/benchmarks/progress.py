"""Progress with the time left, on stderr: a bar for a person, a line now and then for a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from edgeseg.benchmarks.harness import Progress as Told
from edgeseg.runtime.text.names import shown

_LINE_EVERY_S = 10.0


@contextmanager
def shown_progress(stream: TextIO | None = None) -> Iterator[Told]:
    """Hands out the function a measurement reports to.

    Nothing is drawn from a thread of its own: a bar that moves ten times a second would be measured too.
    """
    stream = stream or sys.stderr
    if not stream.isatty():
        yield _Lines(stream)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, console=Console(file=stream), auto_refresh=False, transient=True) as bar:
        task = bar.add_task("measuring", total=1.0)

        def told(done: float, what: str) -> None:
            bar.update(task, completed=done, description=f"measuring {shown(what)}", refresh=True)

        yield told


class _Lines:
    """One line every ten seconds."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._start = stream, time.monotonic()
        self._last = self._start

    def __call__(self, done: float, what: str) -> None:
        now = time.monotonic()
        if now - self._last < _LINE_EVERY_S or done <= 0:
            return
        self._last = now
        left_s = (now - self._start) * (1 - done) / done
        print(f"measuring {shown(what)}: {done:.0%}, {left_s:.0f} s left", file=self._stream, flush=True)
