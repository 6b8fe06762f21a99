"""Trainings and measurements of one machine take turns, so that several fits can run side by side.

A training stops between two batches while any process of the same user measures, and measurements wait for one another.
Two locks of the kernel do it, which a killed process gives back: `turn` is held by who measures or waits to, `busy` is
shared by trainings while they work on a batch. Nobody waits for ever: a process that was suspended is passed by in the
end, and what it still disturbs is noticed by `edgeseg.benchmarks.machine.others`.
"""

from __future__ import annotations

import fcntl
import logging
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

# A batch takes a second or two, a whole benchmark some minutes.
_BATCH_S, _MEASUREMENT_S = 30.0, 1800.0
_TELL_S, _POLL_S = 20.0, 0.02
_log = logging.getLogger(__name__)
_mine = threading.local()  # `held`: folders whose turn this thread has


def default_folder() -> Path:
    """One pair of locks a user and machine; containers that share a machine can share EDGESEG_TURNS."""
    given = os.environ.get("EDGESEG_TURNS")
    return Path(given) if given else Path(tempfile.gettempdir()) / f"edgeseg-turns-{os.getuid()}"


@dataclass(frozen=True)
class Turns:
    """The two locks of a folder.

    Attributes:
        folder: Made where missing, for its user alone.
        batch_s: Longest wait of a measurement for the batches that trainings are at [s].
        measurement_s: Longest wait of a training, or of another measurement, for a measurement [s].
    """

    folder: Path = field(default_factory=default_folder)
    batch_s: float = _BATCH_S
    measurement_s: float = _MEASUREMENT_S

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Wait for other measurements and for the batches that trainings are at; none begins until the block ends.

        Within a block of the same thread it is entered at once: who measures several things has one turn for them.
        """
        held: set[Path] = _mine.__dict__.setdefault("held", set())
        if self.folder in held:
            yield
            return
        with self._lock("turn") as turn, self._lock("busy") as busy:
            _take(turn, fcntl.LOCK_EX, self.measurement_s, "a measurement")
            _take(busy, fcntl.LOCK_EX, self.batch_s, "a training's batch")
            held.add(self.folder)
            try:
                yield
            finally:
                held.remove(self.folder)

    @contextmanager
    def training(self) -> Iterator[Training]:
        """The turns of one training; its `next_batch` is called before every batch."""
        with self._lock("turn") as turn, self._lock("busy") as busy:
            yield Training(turn, busy, self.measurement_s)

    @contextmanager
    def _lock(self, name: str) -> Iterator[int]:
        """An open lock file; closing it gives the lock back."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = os.open(self.folder / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            yield number
        finally:
            fcntl.flock(number, fcntl.LOCK_UN)  # a forked loader process may still have the file open
            os.close(number)


@dataclass(frozen=True)
class Training:
    """A training's side: file descriptors of both locks, and the longest wait for a measurement [s]."""

    turn: int
    busy: int
    measurement_s: float

    def next_batch(self) -> None:
        """End the batch before, wait while anybody measures or is about to, and begin the next one."""
        fcntl.flock(self.busy, fcntl.LOCK_UN)
        if _take(self.turn, fcntl.LOCK_SH, self.measurement_s, "a measurement"):
            fcntl.flock(self.turn, fcntl.LOCK_UN)
        _take(self.busy, fcntl.LOCK_SH, self.measurement_s, "a measurement")


def _take(lock: int, kind: int, patience_s: float, holder: str) -> bool:
    """Take a lock, or pass it by after `patience_s`; whether it was taken."""
    start, told = time.monotonic(), False
    while True:
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            waited_s = time.monotonic() - start
            if waited_s > patience_s:
                _log.warning("%s of another edgeseg process did not end in %.0f s: going on", holder, waited_s)
                return False
            if waited_s > _TELL_S and not told:
                _log.warning("waiting for %s of another edgeseg process", holder)
                told = True
            time.sleep(_POLL_S)
        else:
            return True
