"""Shell lines in a user, mount and process namespace of their own.

Every user id is there what it is outside, so that root's files are root's; what the lines mount or register is seen by
them alone and ends with them, and so does every process they leave behind.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from edgeseg.runtime.errors import EdgesegError

_COMMAND = ("unshare", "--user", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec")
_MAPPED = 'until [ "$(id -u)" = 0 ]; do sleep 0.01; done'  # without a map everybody is nobody
_IDS = "0 0 65536"


class UnavailableError(EdgesegError):
    """This machine cannot have the virtual Pi; the message says why."""


def run(lines: Sequence[str], *, capture: bool = False) -> subprocess.CompletedProcess[str]:
    """Run lines of `sh` one after the other until one fails.

    Args:
        lines: Of the shell; the last may `exec`.
        capture: Whether what they print is returned, not passed on.

    Returns:
        As of `subprocess.run`, whatever the exit code.

    Raises:
        UnavailableError: If this machine does not make such namespaces.
    """
    if os.getuid() != 0:
        raise UnavailableError(
            "it is made of files of several users: run it as root. Nothing is left outside its folder"
        )
    pipe = subprocess.PIPE if capture else None
    command = [*_COMMAND, "\n".join((_MAPPED, *lines))]
    try:
        process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)
    except FileNotFoundError as err:
        raise UnavailableError("`unshare` is not here: install util-linux") from err
    with process:
        try:
            _map_ids(process)
            out, err_text = process.communicate()
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err_text)


def _map_ids(process: subprocess.Popen[str]) -> None:
    """Wait until the process is in its namespace, then give it the ids."""
    about, own = Path(f"/proc/{process.pid}"), Path("/proc/self/ns/user").readlink()
    while process.poll() is None:
        with contextlib.suppress(OSError):  # it may end at any moment
            if (about / "ns/user").readlink() != own:
                for kind in ("uid_map", "gid_map"):
                    (about / kind).write_text(_IDS)
                return
        time.sleep(0.01)
    raise UnavailableError("`unshare --user --mount --pid` is refused: this machine lets nobody make namespaces")
