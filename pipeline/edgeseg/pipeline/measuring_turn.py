"""Trainings and measurements of one machine take turns, so that several fits can run side by side.

A training stops between two batches while any process of the same user measures, and measurements wait for one another.
Two locks of the kernel do it, which a killed process gives back: `turn` is held by who measures or waits to, `busy` is
shared by trainings while they work on a batch.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

# A batch takes a second or two. A training that was suspended by its user never ends one, and must not hold others up;
# what it still disturbs is noticed by `edgeseg.benchmarks.others`.
_PATIENCE_S = 30.0
_POLL_S = 0.02


@dataclass
class Turns:
    """The two locks of a folder; by default the machine's, one pair a user."""

    folder: Path = field(default_factory=lambda: Path(tempfile.gettempdir()) / f"edgeseg-turns-{os.getuid()}")
    patience_s: float = _PATIENCE_S

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Wait for other measurements and for the batches that trainings are at; none begins until the block ends."""
        with self._lock("turn") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            with self._lock("busy") as busy:
                self._wait(busy)
                yield

    @contextmanager
    def training(self) -> Iterator[Training]:
        """The turns of one training; its `next_batch` is called before every batch."""
        with self._lock("turn") as turn, self._lock("busy") as busy:
            yield Training(turn, busy)

    def _wait(self, busy: int) -> None:
        deadline = time.monotonic() + self.patience_s
        while time.monotonic() < deadline:
            try:
                fcntl.flock(busy, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_POLL_S)
            else:
                return

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
    """A training's side: file descriptors of both locks."""

    turn: int
    busy: int

    def next_batch(self) -> None:
        """End the batch before, wait while anybody measures or is about to, and begin the next one."""
        fcntl.flock(self.busy, fcntl.LOCK_UN)
        fcntl.flock(self.turn, fcntl.LOCK_SH)
        fcntl.flock(self.turn, fcntl.LOCK_UN)
        fcntl.flock(self.busy, fcntl.LOCK_SH)
