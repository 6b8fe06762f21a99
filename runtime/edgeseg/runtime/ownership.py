"""Whose an engine is: one process, and there one call at a time.

What an engine keeps between calls (its buffers, its threads) is neither safe in two threads at once nor there any more
in a forked process, and it cannot be copied. So each call waits for its turn, and another process gets an error.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from contextlib import AbstractContextManager
from types import TracebackType
from typing import NoReturn, TypeVar

from edgeseg.runtime.errors import BackendError

_Owner = TypeVar("_Owner", bound="Owned")  # typing.Self is not there in Python 3.10


class Owned:
    """Base of what holds an engine: a call is `with self._turn(): self._check_open()` and its work."""

    def __init__(self) -> None:
        self._process = os.getpid()
        # Re-entrant: a signal handler, or frames that are made while `batch` takes them, may call in the middle of one.
        self._lock = threading.RLock()
        self._closed = False
        _ALIVE.add(self)

    def close(self) -> None:
        """Free the engine, after the call that another thread may be in; calls after this raise BackendError.

        A second call does nothing, and neither does one in a forked process, which never had the engine.
        """
        if os.getpid() != self._process:
            return
        self._closed = True  # before the wait, so that threads that call in a loop cannot keep it waiting
        with self._lock:
            self._close()

    def __enter__(self: _Owner) -> _Owner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        kind = type(self).__name__
        raise BackendError(
            f"A {kind} cannot be copied, pickled or sent to another process: its engine belongs to this one. "
            "Send the path, and open it in each process."
        )

    def _turn(self) -> AbstractContextManager[object]:
        """The turn of one call, to be waited for with `with`; `_check_open` comes inside.

        Raises:
            BackendError: In a forked process.
        """
        # Before the lock, which a thread of the parent may have held when the process was forked.
        self._check_process()
        return self._lock

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise BackendError(
                f"This {type(self).__name__} was opened in process {self._process} and has no engine in process "
                f"{os.getpid()}, which was forked from it. Open it in the process that uses it."
            )

    def _check_open(self) -> None:
        if self._closed:
            raise BackendError(f"This {type(self).__name__} is closed. Open the model again.")

    def _close(self) -> None:
        """Free what is held; called once or more often, never beside another call."""
        raise NotImplementedError


def _keep_for_ever() -> None:
    """In a forked process: an engine freed there waits for threads that it has not, or crashes, also at exit."""
    with contextlib.suppress(ImportError):  # a small Python without ctypes
        import ctypes

        for one in _ALIVE:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(one))


_ALIVE: weakref.WeakSet[Owned] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_for_ever)
