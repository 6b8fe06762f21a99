"""Starting a worker process, following what it says, and telling a dead one from a silent one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Protocol

from edgeseg.benchmarks.process.events import read_event, without_paths

_WORKER = (sys.executable, "-m", "edgeseg.benchmarks.process.worker")
_TAIL_LINES = 6
ILLEGAL = "illegal instruction: the engine was built for a processor with other instructions than this one"


class WorkerDied(Exception):  # noqa: N818  reads as the event it is
    """A worker ended without a result.

    Attributes:
        subject: What it was measuring, or `None` before its first word.
        reason: Why, in one sentence.
    """

    def __init__(self, subject: str | None, reason: str) -> None:
        super().__init__(reason)
        self.subject = subject
        self.reason = reason


class Task(Protocol):
    """What a worker is told, and how long it may be silent [s]."""

    @property
    def timeout_s(self) -> float:
        """Silent for longer, it is ended [s]."""

    def to_json(self) -> dict[str, Any]:
        """The task as JSON."""


@dataclass
class _Heard:
    """What was last heard of a worker."""

    subject: str | None = None
    timed_out: bool = False


def run_worker(job: Task, on_subject: Callable[[str], None], command: tuple[str, ...] = _WORKER) -> dict[str, Any]:
    """Run one job in a fresh process and wait for it without using the CPU.

    Args:
        job: What to measure.
        on_subject: Called with a subject's name each time the worker turns to it.
        command: The worker's command line.

    Returns:
        The worker's reply: per subject name a status and samples or a reason.

    Raises:
        WorkerDied: It crashed, was killed, said nothing for `job.timeout_s`, or answered with no JSON.
    """
    heard, tail = _Heard(), deque[str](maxlen=_TAIL_LINES)
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, errors="replace") as process:  # noqa: S603
        watch = _Watchdog(process, job.timeout_s, heard)
        assert process.stdin and process.stdout and process.stderr
        listener = threading.Thread(target=_listen, args=(process.stderr, heard, tail, watch, on_subject), daemon=True)
        listener.start()
        try:
            with _ended_together(process):
                _tell(process.stdin, job)
                answer = process.stdout.read()
                code = process.wait()
        except BaseException:  # Ctrl-C included: no worker may outlive its parent's interest
            process.kill()
            raise
        finally:
            watch.stop()
            listener.join(timeout=5)
    return _reply(answer, code, heard, tail, job.timeout_s)


@contextmanager
def _ended_together(process: subprocess.Popen[str]) -> Iterator[None]:
    """SIGTERM ends Python without a word: the worker would go on measuring for nobody, and keep the CPUs busy."""
    before = signal.getsignal(signal.SIGTERM)
    # Only the main thread may set handlers, and neither a foreign one nor "ignore" is replaced.
    if threading.current_thread() is not threading.main_thread() or before in (None, signal.SIG_IGN):
        yield
        return

    def end(_number: int, _frame: object) -> None:
        process.kill()
        signal.signal(signal.SIGTERM, before)
        os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _tell(stdin: IO[str], job: Task) -> None:
    try:
        json.dump(job.to_json(), stdin)
        stdin.close()
    except BrokenPipeError:
        pass  # it died at once; its exit code says why


def _listen(
    stderr: IO[str], heard: _Heard, tail: deque[str], watch: _Watchdog, on_subject: Callable[[str], None]
) -> None:
    for line in stderr:
        subject = read_event(line)
        if subject is None:
            tail.append(line.rstrip())
            continue
        heard.subject = subject
        watch.start()
        on_subject(subject)


def _reply(answer: str, code: int, heard: _Heard, tail: deque[str], timeout_s: float) -> dict[str, Any]:
    if heard.timed_out:
        raise WorkerDied(heard.subject, f"no sign of life for {timeout_s:g} s, so it was ended (--timeout)")
    if code != 0:
        last = next((line for line in reversed(tail) if line.strip()), "no message")
        raise WorkerDied(heard.subject, how_it_ended(code, last))
    try:
        reply = json.loads(answer)
    except ValueError as error:
        raise WorkerDied(heard.subject, "the worker process answered with something that is no JSON") from error
    return dict(reply)


def how_it_ended(code: int, last: str) -> str:
    """Why a process that ended with `code` did so; `last` is the last line that it said."""
    if code in (-signal.SIGILL, 128 + signal.SIGILL):  # the second where a shell stood between
        return ILLEGAL
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return f"the worker process ended with {how}: {without_paths(last)}"


class _Watchdog:
    """Ends a process that has been silent for too long."""

    def __init__(self, process: subprocess.Popen[str], timeout_s: float, heard: _Heard) -> None:
        self._process, self._timeout_s, self._heard = process, timeout_s, heard
        self._timer: threading.Timer | None = None
        self.start()

    def start(self) -> None:
        """Begins the wait, or begins it anew."""
        self.stop()
        self._timer = threading.Timer(self._timeout_s, self._end)
        self._timer.daemon = True
        self._timer.start()

    def stop(self) -> None:
        """Call the wait off."""
        if self._timer is not None:
            self._timer.cancel()

    def _end(self) -> None:
        self._heard.timed_out = True
        self._process.kill()
