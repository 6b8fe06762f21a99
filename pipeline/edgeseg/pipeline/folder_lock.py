"""One process at a time in a folder that is being filled."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeseg.runtime.errors import ConfigError


@contextmanager
def alone_in(folder: Path, instead: str = "give another folder with --out") -> Iterator[None]:
    """Two processes in one folder would take each other's half-written files away.

    The kernel gives the lock back however the process ends, so that one that was killed locks nobody out.

    Args:
        folder: Made where missing; gets a file `lock`.
        instead: What the user can do besides waiting if another process is in it.

    Raises:
        ConfigError: If another process is in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"{folder} is being filled by another edgeseg process; wait for it, or {instead}"
            ) from None
        yield
