"""How far a command is and how long it still takes: what is known of a chain's steps, or of things that are counted."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

from edgeseg.benchmarks.progress import drawn
from edgeseg.pipeline.chain.chain import ChainProgress

Clock = Callable[[], float]
CountProgress = Callable[[int, int], None]

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
    with drawn(stream or sys.stderr) as draw:

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
    with drawn(stream or sys.stderr) as draw:

        def told(done: int, total: int) -> None:
            elapsed_s = time.monotonic() - start
            if elapsed_s >= _SHOWN_AFTER_S and total:
                left_s = elapsed_s / done * (total - done) if done else None
                draw(f"{what}: {done} of {total}", done / total, left_s)

        yield told
