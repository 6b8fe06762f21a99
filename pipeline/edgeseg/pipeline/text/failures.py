"""From an exception to what a user reads and the exit code a script sees: 1 error, 2 usage, 3 a gate failed."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from edgeseg.runtime.engines import ENGINES
from edgeseg.runtime.errors import ERROR, EdgesegError
from edgeseg.runtime.text.terminal import say

# The extra that brings a package, where it is not `pipeline` itself.
_EXTRAS = {"cv2": "cv", "jinja2": "bench"} | {
    package.module: engine.extra for engine in ENGINES.values() if engine.extra for package in engine.packages
}


class Stop(Exception):  # noqa: N818 - no error, a way out
    """Ends a command with an exit code, after its results have been printed."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@contextmanager
def reported(*, debug: bool = False) -> Iterator[None]:
    """Turn failures a user can put right into one message on stderr and an exit code.

    Everything else is a fault of edgeseg and keeps its traceback.

    Args:
        debug: Show every traceback.

    Raises:
        SystemExit: With the exit code.
    """
    try:
        yield
    except Stop as stop:
        raise SystemExit(stop.code) from None
    except KeyboardInterrupt:
        raise _exit("stopped; the same command goes on from here", ERROR, debug) from None
    except ModuleNotFoundError as err:
        name = (err.name or "").split(".")[0]
        if name in {"", "edgeseg"}:
            raise
        raise _exit(
            f"{name} is not installed. Run: pip install 'edgeseg[{_EXTRAS.get(name, 'pipeline')}]'", 1, debug
        ) from err
    except EdgesegError as err:
        raise _exit(str(err), err.exit_code, debug) from err
    except MemoryError as err:
        raise _exit(
            "out of memory; use smaller frames, tiles (geometry.mode: tile) or a smaller batch", 1, debug
        ) from err
    except OSError as err:
        message = _os_message(err)
        if message is None:
            raise
        raise _exit(message, ERROR, debug) from err


def _exit(message: str, code: int, debug: bool) -> SystemExit:
    if debug:
        traceback.print_exc()
    say(f"error: {message}")
    return SystemExit(code)


def _os_message(err: OSError) -> str | None:
    """What the user can do about an error of the system, or None where that is not known."""
    where = f" ({err.filename})" if err.filename else ""
    if err.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left on the disk{where}; free some and run the same command again, it goes on from here"
    if err.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"no permission{where}; change its rights, or choose another folder with --out"
    if err.errno in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR):
        return f"{err.strerror}{where}; check the path"
    return None
