"""Progress with the time left, on stderr: a bar for a person, a line now and then for a log.

Nothing is drawn from a thread of its own: a bar that moves ten times a second would be measured too.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from edgeseg.benchmarks.duration import duration
from edgeseg.runtime.text.names import shown

if TYPE_CHECKING:
    from edgeseg.benchmarks.harness import Progress as Told

# Words (in a log those before a colon are the topic), the share done in [0, 1], the time left [s] where it is known.
Draw = Callable[[str, float, float | None], None]

_LINE_EVERY_S = 10.0


@contextmanager
def drawn(stream: TextIO) -> Iterator[Draw]:
    """A bar on a terminal, else a line whenever the topic changes or ten seconds have passed."""
    if not stream.isatty():
        yield _Lines(stream)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[left]}", markup=False),
    )
    with Progress(*columns, console=Console(file=stream), auto_refresh=False, transient=True) as bar:
        tasks: list[TaskID] = []

        def draw(words: str, done: float, left_s: float | None) -> None:
            if not tasks:
                tasks.append(bar.add_task("", total=1.0, left=""))
            bar.update(tasks[0], description=words, completed=done, left=_left(left_s), refresh=True)

        yield draw


@contextmanager
def shown_progress(stream: TextIO | None = None) -> Iterator[Told]:
    """Hands out the function a measurement reports to."""
    start = time.monotonic()
    with drawn(stream or sys.stderr) as draw:

        def told(done: float, what: str) -> None:
            left_s = (time.monotonic() - start) * (1 - done) / done if done > 0 else None
            draw(f"measuring: {shown(what)}", done, left_s)

        yield told


class _Lines:
    """Progress in a log."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._topic, self._last = stream, "", time.monotonic()

    def __call__(self, words: str, done: float, left_s: float | None) -> None:
        topic, now = words.partition(":")[0], time.monotonic()
        if topic == self._topic and now - self._last < _LINE_EVERY_S:
            return
        self._topic, self._last = topic, now
        print(f"{words} ({done:.0%}, {_left(left_s)})", file=self._stream, flush=True)


def _left(left_s: float | None) -> str:
    return "time left not known yet" if left_s is None else f"{duration(left_s)} left"
