"""One process at a time in a folder that is being filled, and no folder in which a user's files would be lost."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeseg.runtime.errors import ConfigError

_LOCK = "lock"
# What runs, fits and the doctor write beside their folders.
_WRITTEN = (_LOCK, "report.json", "report.html", "*.edgeseg")


@contextmanager
def alone_in(folder: Path, instead: str = "give another folder with --out") -> Iterator[None]:
    """Two processes in one folder would take each other's half-written files away.

    The kernel gives the lock back however the process ends, so that one that was killed locks nobody out.

    Args:
        folder: Made where missing; gets a file `lock`.
        instead: What the user can do besides waiting if another process is in it.

    Raises:
        ConfigError: If another process is in it, or it holds files of the user's that would be replaced.
    """
    check_own(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"{folder} is being filled by another edgeseg process; wait for it, or {instead}"
            ) from None
        yield


def check_own(folder: Path) -> None:
    """Refuse a folder of the user's that would lose a file.

    A run's own folder is known by its lock, or by whole steps; what is in it may be renewed.

    Raises:
        ConfigError: If it is none, and a data set or holds a file of a name that a run writes.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is no folder; choose another --out")
    if (folder / "images").is_dir() and (folder / "masks").is_dir():
        raise ConfigError(f"{folder} is a data set, and nothing is written into one; choose another --out")
    lock = folder / _LOCK
    if (lock.is_file() and not lock.stat().st_size) or any(folder.glob("steps/*/done.json")):
        return
    foreign = sorted(path.name for name in _WRITTEN for path in folder.glob(name))
    if foreign:
        raise ConfigError(
            f"{folder} is no folder of a run, and its {', '.join(foreign)} would be replaced; choose another --out"
        )
