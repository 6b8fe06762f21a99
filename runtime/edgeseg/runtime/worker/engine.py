"""A model in another process, which is ended and started again when it hangs or crashes."""

from __future__ import annotations

import logging
import os
import warnings
from dataclasses import replace
from math import inf
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeseg.runtime.errors import BackendError, BundleError, EdgesegError, LateError, WorkerError
from edgeseg.runtime.opening.step_folder import model_in
from edgeseg.runtime.result import Result
from edgeseg.runtime.spec.model_spec import ModelSpec
from edgeseg.runtime.worker.answer import WorkerConfig
from edgeseg.runtime.worker.child import Order
from edgeseg.runtime.worker.process import Process, by_descriptor
from edgeseg.runtime.worker.shared import SharedMemory
from edgeseg.runtime.worker.wire import Message, take_error, take_result

if TYPE_CHECKING:
    from edgeseg.runtime.trust.policy import Policy

_LOG = logging.getLogger(__name__)
_PATIENCE_S = 3.0  # a little over what the process gives the frame in hand


class RestartingEngine:
    """A model that answers, or is started again.

    Args:
        path: The .edgeseg file, which is held open: what replaces it on disk is never served by a restart.
        variant: As for `Segmenter.open`.
        threads: As for `Segmenter.open`.
        config: How long it is waited for.
        policy: As for `Segmenter.open`; the process itself obeys it, at each start.

    Raises:
        EdgesegError: As `Segmenter.open` does; a WorkerError where the engine crashed or hung twice while opening.

    Attributes:
        facts: What `Segmenter.describe` said when it was opened last.
        spec: Description of the model.
        restarts: How often it was started again.
    """

    def __init__(
        self, path: Path, variant: str | None, threads: int | None, config: WorkerConfig, policy: Policy | None = None
    ) -> None:
        self._path, self._config = path, config
        self._file = -1 if path.is_dir() else _opened(path)
        self._stamp = self._stamped()
        model = str(path.absolute()) if self._file < 0 else by_descriptor(self._file)
        self._frames, self._answers = SharedMemory(), SharedMemory()
        asked = None if policy is None else policy.to_json()
        fds = (self._frames.descriptor, self._answers.descriptor)
        self._order = Order(0, -1, *fds, model, str(path), variant, threads, config.memory_mib, asked)
        self._process: Process | None = None
        self._hangs_at_s: float | None = None  # by `monotonic`, where it is at something
        self.restarts = 0
        self.facts: dict[str, Any] = {}
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        self.spec = ModelSpec.from_json(self.facts["spec"])

    @property
    def pid(self) -> int | None:
        """Number of the process, or None where there is none at the moment."""
        return None if self._process is None else self._process.pid

    def segment(self, frame: np.ndarray, extras: tuple[bool, bool], due_s: float) -> Result:
        """Have one frame segmented; `extras` = (probability, regions).

        Raises:
            LateError: If that takes longer than until `due_s` by `monotonic`; what is at work goes on.
            WorkerError: If the engine crashed, hung or failed in a way that a restart may mend; `restart` it.
            EdgesegError: As a call of a Segmenter does.
        """
        self._await_idle(due_s)
        assert self._process is not None
        self._frames.array(frame.shape, frame.dtype.name)[...] = frame
        request = {"shape": frame.shape, "dtype": frame.dtype.name}
        # Before it is asked: whatever interrupts this, the next call waits for the answer to this one.
        self._hangs_at_s = monotonic() + self._config.hang_s
        self._process.send({**request, "probability": extras[0], "regions": extras[1]})
        message = self._await(due_s)
        if "error" in message:
            error = take_error(message)
            raise WorkerError(str(error)) if message.get("suspect") else error
        try:
            return take_result(message, self._answers, frame.shape)
        except ValueError as error:
            raise WorkerError(f"The engine's process went astray: {error}.") from error

    def restart(self, reason: str) -> None:
        """End the process, and start another, which opens the model by itself."""
        pid = self.pid
        self._kill()
        self.restarts += 1
        facts = {"event": "engine_restarted", "model": self._order.shown, "pid": pid, "restarts": self.restarts}
        _LOG.warning("%s: the engine is started again (restart %d): %s", self._path, self.restarts, reason, extra=facts)
        self._start()

    def close(self) -> None:
        """End the process and give back what is held."""
        if self._process is not None and self._hangs_at_s is None:
            self._process.end(_PATIENCE_S)
            self._process = None
        self._kill()
        self._frames.close()
        self._answers.close()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self) -> None:
        self._start()
        try:
            self._await_idle(inf)
        except WorkerError as error:
            self.restart(str(error))
            try:
                self._await_idle(inf)
            except WorkerError as again:
                limit = self._config.memory_mib
                less = "" if limit is None else f", or memory_mib ({limit}) is too little"
                found = f"{self._path}: opening it failed twice. {again} The file is damaged or hostile, or its engine"
                raise WorkerError(f"{found} is: try another{less}.") from again

    def _stamped(self) -> tuple[int, int, int]:
        """What changes when the model's file is written over in place, which leaves it the same open file."""
        its = model_in(self._path).stat() if self._file < 0 else os.fstat(self._file)
        return its.st_ino, its.st_size, its.st_mtime_ns

    def _start(self) -> None:
        if self._stamp != self._stamped():
            raise BundleError(f"{self._path} was written over by another model. Close this worker, and open that one.")
        self._process = Process(self._order)
        self._hangs_at_s = monotonic() + self._config.start_s

    def _await_idle(self, due_s: float) -> None:
        """Wait for what the process is at: opening the model, or a frame that nobody waits for any more."""
        if self._process is None:
            self._start()
        if self._hangs_at_s is None:
            return
        message = self._await(due_s)
        if message.get("opening"):
            self._kill()
            raise take_error(message)
        if "model" in message:
            self._check_model(message)

    def _check_model(self, message: Message) -> None:
        facts = dict(message["model"])
        # Of the rest, threads follow from cores, whose number may change, and the engine may have been updated.
        if self.facts and facts["spec"] != self.facts["spec"]:
            self._kill()
            raise BundleError(f"{self._path} was replaced by another model. Close this worker, and open that one.")
        if not self.facts:
            for said in message.get("warnings", ()):
                warnings.warn(said, RuntimeWarning, stacklevel=6)
            # A restart opens what was chosen first.
            self._order = replace(self._order, variant=facts["variant"])
        self.facts = facts
        told = {"event": "engine_started", "model": self._order.shown, "pid": self.pid, "variant": facts["variant"]}
        _LOG.info("%s: %s runs in %s", self._path, facts["variant"], facts["engine"], extra=told)

    def _kill(self) -> None:
        process, self._process, self._hangs_at_s = self._process, None, None
        if process is not None:
            process.kill()

    def _await(self, due_s: float) -> Message:
        """The answer to what the process is at.

        Raises:
            LateError: If it is not there in time.
            WorkerError: If the process is gone, or at it for too long.
        """
        if self._process is None or self._hangs_at_s is None:  # closed by a signal handler in the middle of a call
            raise BackendError("This Worker is closed. Open the model again.")
        message = self._process.receive(min(due_s, self._hangs_at_s))
        if message is not None:
            self._hangs_at_s = None
            return message
        if monotonic() >= self._hangs_at_s:
            raise WorkerError("The engine hangs: it did not answer in time.")
        raise LateError(f"The mask was not there by its deadline of {self._config.deadline_ms} ms.")


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise BundleError(f"{path}: no such file. Check its path.") from error
    except OSError as error:
        raise EdgesegError(f"{path}: cannot be read ({error.strerror}). Check its permissions.") from error
