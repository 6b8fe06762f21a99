"""The other process of a Worker, seen from here: started, asked, listened to, ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import asdict, replace
from time import monotonic

from edgeseg.runtime.errors import WorkerError
from edgeseg.runtime.worker.child import Order
from edgeseg.runtime.worker.wire import Line, Message

# Not `-m`: that would let a numpy.py of the current folder be imported. The path is the one modules are found by here.
_START = "import sys; n = int(sys.argv[1]); sys.path[:] = sys.argv[2 : n + 2]; "
_START += "from edgeseg.runtime.worker.child import main; sys.exit(main(sys.argv[n + 2 :]))"

_LAST_WORDS_S = 1.0


class Process:
    """A process that is opening the model, or has.

    Started by `exec`, never by a fork alone: an engine that ran cannot be forked, and nothing of the user's own script
    is imported.

    Args:
        order: What it is told; the connection is added here.

    Raises:
        WorkerError: If no process can be started.
    """

    def __init__(self, order: Order) -> None:
        ours, theirs = socket.socketpair()
        self._line = Line(ours)
        told = json.dumps(asdict(replace(order, parent=os.getpid(), connection=theirs.fileno())))
        passed = [theirs.fileno(), order.frames, order.answers]
        if order.model.startswith(_DESCRIPTORS):
            passed.append(int(order.model.removeprefix(_DESCRIPTORS)))
        try:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-c", _START, str(len(sys.path)), *sys.path, told],
                stdin=subprocess.DEVNULL,
                pass_fds=passed,
                start_new_session=True,  # Ctrl-C is for whoever asks, not for it
            )
        except OSError as error:
            ours.close()
            raise WorkerError(f"No process can be started for the engine ({error.strerror}): free memory.") from error
        finally:
            theirs.close()
        self.pid = self._process.pid

    def send(self, message: Message) -> None:
        """Send one message.

        Raises:
            WorkerError: If the process is gone.
        """
        try:
            self._line.send(message)
        except OSError as error:
            raise self._gone() from error

    def receive(self, due_s: float) -> Message | None:
        """The next message, or None where it is not there when `monotonic` says `due_s`.

        Raises:
            WorkerError: If the process is gone, or said what it never says.
        """
        try:
            return self._line.receive(max(0.0, due_s - monotonic()))
        except EOFError as error:
            raise self._gone() from error
        except ValueError as error:
            raise WorkerError(f"The engine's process went astray and said what it never says ({error}).") from error

    def end(self, patience_s: float) -> None:
        """Hang up, and kill it where it has not ended soon after."""
        self._line.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience_s)
            return
        self.kill()

    def kill(self) -> None:
        """End it at once."""
        self._line.close()
        self._process.kill()
        self._process.wait()

    def _gone(self) -> WorkerError:
        try:
            code = self._process.wait(_LAST_WORDS_S)
        except subprocess.TimeoutExpired:
            return WorkerError("The engine's process hung up without an answer.")
        if code >= 0:
            return WorkerError(f"The engine's process ended by itself with code {code}.")
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        why = " (perhaps by the kernel, for want of memory)" if name == "SIGKILL" else ""
        return WorkerError(f"The engine's process was ended by {name}{why}.")


_DESCRIPTORS = "/dev/fd/"


def by_descriptor(descriptor: int) -> str:
    """A path of an open file, for a process that it is passed on to: the same file, whatever its name means by then."""
    return f"{_DESCRIPTORS}{descriptor}"
