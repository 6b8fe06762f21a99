"""Who asks: jobs of this user and machine have names of their own on a device; one command at a time follows one."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from edgeseg.runtime.errors import MeasureError
from edgeseg.runtime.files.atomic import write_text
from edgeseg.runtime.files.user_cache import cache_folder


def owner() -> str:
    """A random word, made once and kept; it names neither the user nor the machine."""
    path = cache_folder("bench") / "owner"
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        word = secrets.token_hex(8)
        write_text(path, word)
        return word


@contextmanager
def this_job(name: str) -> Iterator[None]:
    """Held while a command follows the job of that name.

    Raises:
        MeasureError: Another command does.
    """
    path = cache_folder("bench") / "jobs" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _take(number)
        yield
        path.unlink(missing_ok=True)
    finally:
        os.close(number)


def _take(number: int) -> None:
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise MeasureError("this very bench is followed by another command already: wait for its end") from error
