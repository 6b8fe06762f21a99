"""How far a command is and how long it still takes, on stderr: a bar for a person, a line now and then for a log.

Nothing is drawn from a thread of its own: the chain also measures latency, and a bar that moves by itself would be
measured too.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from edgeseg.pipeline.chain.chain import ChainProgress
from edgeseg.pipeline.report.duration import duration

Clock = Callable[[], float]
CountProgress = Callable[[int, int], None]

_LINE_EVERY_S = 10.0
# Commands that end within this time need no bar.
_SHOWN_AFTER_S = 2.0
# Weights are rough: of less than this share of a process's work done, a forecast would be a guess.
_LEAST_DONE = 0.05


class TimeLeft:
    """Forecast of a chain from the rough weights of its steps and the time they have taken so far.

    What was done before this process began (steps reused, the part of a step that was resumed) counts as done, but
    not as work that this process's time has bought.

    Args:
        weights: Rough share of each step; a step that is told of and not in it weighs 1.
        clock: Seconds that never go backwards; the process's own by default.
    """

    def __init__(self, weights: Mapping[str, float], clock: Clock | None = None) -> None:
        self._weights = dict(weights)
        self._clock = clock or time.monotonic
        self._start = self._clock()
        self._done: dict[str, float] = {}
        self._bought: dict[str, float] = {}

    def tell(self, step: str, share: float, *, reused: bool = False) -> None:
        """Note that `step` is done to `share` in [0, 1]; `reused` if it was whole before."""
        self._weights.setdefault(step, 1.0)
        share = min(max(share, 0.0), 1.0)
        before = self._done.get(step)
        first = share if reused or (before is None and share < 1.0) else (before or 0.0)
        self._bought[step] = self._bought.get(step, 0.0) + max(0.0, share - first)
        self._done[step] = max(share, before or 0.0)

    @property
    def done(self) -> float:
        """Share of the chain that is done, in [0, 1]."""
        total = sum(self._weights.values())
        return self._weighted(self._done) / total if total else 1.0

    @property
    def left_s(self) -> float | None:
        """Seconds still to go, or None while nothing can be said."""
        bought = self._weighted(self._bought)
        ahead = sum(self._weights.values()) - self._weighted(self._done)
        if bought <= _LEAST_DONE * (bought + ahead):
            return None
        elapsed_s = self._clock() - self._start
        return elapsed_s / bought * ahead

    def _weighted(self, shares: Mapping[str, float]) -> float:
        return sum(self._weights[step] * share for step, share in shares.items())


@contextmanager
def chain_progress(weights: Mapping[str, float], stream: TextIO | None = None) -> Iterator[ChainProgress]:
    """Hand out the function a chain reports to.

    Args:
        weights: Rough share of each step's time, by name, in order.
        stream: Where to draw; stderr by default.
    """
    forecast, order = TimeLeft(weights), list(weights)
    with _drawn(stream or sys.stderr) as draw:

        def told(step: str, share: float, words: str) -> None:
            reused = words == "unchanged"
            forecast.tell(step, share, reused=reused)
            if reused:  # over at once; thirty such lines would bury what is being done
                return
            place = f"[{order.index(step) + 1}/{len(order)}] " if step in order else ""
            draw(f"{place}{step}: {words}", forecast.done, forecast.left_s)

        yield told


@contextmanager
def count_progress(what: str, stream: TextIO | None = None) -> Iterator[CountProgress]:
    """Hand out the function a command reports (done, total) to; nothing is drawn in the first two seconds."""
    start = time.monotonic()
    with _drawn(stream or sys.stderr) as draw:

        def told(done: int, total: int) -> None:
            elapsed_s = time.monotonic() - start
            if elapsed_s >= _SHOWN_AFTER_S and total:
                left_s = elapsed_s / done * (total - done) if done else None
                draw(f"{what}: {done} of {total}", done / total, left_s)

        yield told


Draw = Callable[[str, float, float | None], None]


@contextmanager
def _drawn(stream: TextIO) -> Iterator[Draw]:
    """A bar on a terminal, else a line whenever the step changes or ten seconds have passed."""
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
