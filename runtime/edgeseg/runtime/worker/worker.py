"""The facade: a Segmenter in a process of its own, for who has to go on when its engine does not."""

from __future__ import annotations

import dataclasses
import logging
from math import inf
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeseg.runtime.decision import decide
from edgeseg.runtime.errors import BackendError, EdgesegError, LateError, WorkerError
from edgeseg.runtime.frame.blank import blank_frame
from edgeseg.runtime.frame.preprocess import check_frame
from edgeseg.runtime.ownership import Owned
from edgeseg.runtime.result import Result
from edgeseg.runtime.spec.model_spec import ModelSpec
from edgeseg.runtime.worker.answer import Answer, Counts, WorkerConfig
from edgeseg.runtime.worker.engine import RestartingEngine

if TYPE_CHECKING:
    from edgeseg.runtime.trust.policy import Policy

__all__ = ["Answer", "Counts", "Worker", "WorkerConfig"]

_LOG = logging.getLogger(__name__)
_TRIES = 2


class Worker(Owned):
    """A model ready to segment frames, in another process. Use as a context manager, or call `close`.

        config = WorkerConfig(deadline_ms=100, on_late="reject", on_error="reject")
        with Worker.open(Path("part.edgeseg"), config=config) as worker:
            for frame in frames:
                answer = worker(frame, regions=True)

    An engine that crashes, fails, runs out of memory or hangs is started again, and the frame is tried once more; then
    it is reported, and the next one comes. So one crash costs no frame: the answer says `tries` 2. A frame that crashes
    the engine each time is the only one lost.

    A late frame is not yet a hanging engine: what is at work goes on, and the next frame waits for it, within its own
    deadline. Beyond `hang_s` it is ended.

    Like a Segmenter, it may be shared by threads, whose calls wait for one another, and belongs to the process that
    opened it. It needs a POSIX system.

    Args:
        engine: A model that has been opened; the worker closes it.
        config: What becomes of a frame without a mask.
    """

    def __init__(self, engine: RestartingEngine, config: WorkerConfig) -> None:
        super().__init__()
        self._engine, self._config = engine, config
        self._counts = Counts()
        self._asked = False

    @classmethod
    def open(
        cls,
        path: Path,
        variant: str | None = None,
        threads: int | None = None,
        config: WorkerConfig | None = None,
        policy: Policy | None = None,
    ) -> Worker:
        """Open a bundle, or a step's folder, in a process of its own, and wait until it is ready.

        The bundle's file is held open: one that replaces it on disk is not served, by a restart neither.

        Args:
            path: As for `Segmenter.open`.
            variant: As for `Segmenter.open`; a restart takes the one that was chosen first.
            threads: As for `Segmenter.open`.
            config: Deadline and limits; None takes the defaults.
            policy: As for `Segmenter.open`; a restart asks for the same. None is this device's, as it is at each start.

        Raises:
            EdgesegError: As `Segmenter.open` does; a WorkerError where the engine crashes or hangs while opening.
        """
        config = config or WorkerConfig()
        return cls(RestartingEngine(Path(path), variant, threads, config, policy), config)

    @property
    def spec(self) -> ModelSpec:
        """Description of the open model."""
        return self._engine.spec

    @property
    def counts(self) -> Counts:
        """What became of the frames so far."""
        return dataclasses.replace(self._counts, restarts=self._engine.restarts)

    @property
    def pid(self) -> int | None:
        """Number of the engine's process; None between two."""
        return self._engine.pid

    def __call__(self, frame: np.ndarray, *, probability: bool = False, regions: bool = False) -> Answer:
        """Segment one frame; arguments as for a Segmenter.

        Raises:
            LateError: If the mask is not there by the deadline, unless `on_late` is `reject`.
            EdgesegError: If the frame does not fit, or the engine failed on it twice, unless `on_error` is `reject`.
            BackendError: After `close`, or in a forked process.
        """
        with self._turn():
            self._check_open()
            if self._asked:
                raise BackendError("Called again from within a call, as a signal handler may. Call it after.")
            self._asked = True
            try:
                return self._answer(frame, (probability, regions))
            finally:
                self._asked = False

    def warm_up(self, shape: tuple[int, int] | None = None) -> None:
        """Segment a black frame, whatever the deadline; arguments and errors as for `Segmenter.warm_up`."""
        with self._turn():
            self._check_open()
            self._engine.segment(blank_frame(self.spec.input, shape), (False, False), inf)

    def describe(self) -> dict[str, Any]:
        """What runs, in JSON's types: what `Segmenter.describe` says, `pid`, `config` and `counts`."""
        own = {"pid": self.pid, "config": dataclasses.asdict(self._config), "counts": dataclasses.asdict(self.counts)}
        return self._engine.facts | own

    def _close(self) -> None:
        self._engine.close()

    def _answer(self, frame: np.ndarray, extras: tuple[bool, bool]) -> Answer:
        deadline_ms = self._config.deadline_ms
        due_s = inf if deadline_ms is None else monotonic() + deadline_ms / 1000
        tries = 1
        try:
            check_frame(frame, self.spec.input.window)
            while True:
                try:
                    result = self._engine.segment(frame, extras, due_s)
                    return self._ok(result, tries)
                except LateError:
                    raise
                except WorkerError as error:
                    self._engine.restart(str(error))
                    if tries == _TRIES:
                        raise WorkerError(f"The engine failed on this frame {tries} times. {error}") from error
                    tries += 1
        except LateError as error:
            return self._failed("late", error, tries)
        except EdgesegError as error:
            return self._failed("error", error, tries)

    def _ok(self, result: Result, tries: int) -> Answer:
        decision = None if result.regions is None else decide(result.regions, self.spec.decision).decision
        self._count(ok=1, retried=tries - 1)
        return Answer("ok", result, decision, None, tries, self.counts)

    def _failed(self, status: Any, error: EdgesegError, tries: int) -> Answer:
        late = status == "late"
        self._count(late=late, errors=not late)
        facts = {"event": f"frame_{status}", "tries": tries, **dataclasses.asdict(self.counts)}
        _LOG.warning("frame %d: %s: %s", self._counts.frames, status, error, extra=facts)
        if (self._config.on_late if late else self._config.on_error) == "raise":
            raise error
        return Answer(status, None, "reject", str(error), tries, self.counts)

    def _count(self, **more: int) -> None:
        now = dataclasses.asdict(self._counts)
        self._counts = Counts(**now | {"frames": now["frames"] + 1} | {name: now[name] + n for name, n in more.items()})
