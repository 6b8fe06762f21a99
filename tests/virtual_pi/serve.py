"""Run a command of this machine beside the virtual Pi, which it reaches by ssh under the name `virtual-pi`.

    python tests/virtual_pi/serve.py --board pi5 --state /tmp/pi -- bench run part.edgeseg --on ssh://virtual-pi --quick

Debian's OpenSSH server runs in the userland, on loopback, with keys of its own; the first time it is installed into
`--state`. The exit code is the command's.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from board import BOARDS, Board
from namespace import UnavailableError
from userland import environment

from edgeseg.runtime.errors import EdgesegError

_INSTALL = "DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends openssh-server"
_PREPARED = f"mkdir -p /run/sshd; test -x /usr/sbin/sshd || {{ apt-get -qq update && {_INSTALL}; }}"
_SERVER = """ListenAddress 127.0.0.1
Port {port}
HostKey {keys}/host
AuthorizedKeysFile {keys}/user.pub
PidFile none
StrictModes no
UsePAM no
SetEnv {environment}
"""
_CLIENT = """Host virtual-pi
HostName 127.0.0.1
Port {port}
User root
IdentityFile {keys}/user
IdentitiesOnly yes
StrictHostKeyChecking no
UserKnownHostsFile {keys}/known
"""
_PATIENCE_S = 120


def main() -> int:
    """The command's exit code; 1 with a sentence where there can be no virtual Pi."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--board", choices=sorted(BOARDS), default="pi5", help="(default: %(default)s)")
    parser.add_argument("--state", type=Path, required=True, help="folder that keeps what is written there")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the server ends first
    try:
        with (
            tempfile.TemporaryDirectory(prefix="edgeseg-virtual-pi-") as keys,
            served(options.board, options.state, Path(keys)) as programs,
        ):
            path = f"{programs}{os.pathsep}{os.environ['PATH']}"
            return subprocess.run(options.command, env=os.environ | {"PATH": path}, check=False).returncode
    except EdgesegError as err:
        print(f"error: no virtual Pi here: {err}", file=sys.stderr)  # noqa: T201
        return 1


@contextmanager
def served(board: str, state: Path, keys: Path) -> Iterator[Path]:
    """A server in the userland as long as the block runs.

    Args:
        board: Of `BOARDS`.
        state: Takes what is written there.
        keys: Empty folder for keys, configuration and log.

    Yields:
        A folder for PATH, whose `ssh` knows it.

    Raises:
        UnavailableError: If it does not answer, with what it said last.
    """
    state.mkdir(parents=True, exist_ok=True)
    enter = [sys.executable, str(Path(__file__).with_name("enter.py")), "--board", board, "--state", str(state)]
    port = _free_port()
    programs = _configured(keys, port, BOARDS[board])
    with (keys / "log").open("wb") as log:
        done = subprocess.run([*enter, "--", "sh", "-c", _PREPARED], stdout=log, stderr=log, check=False)
        if done.returncode:
            raise UnavailableError(f"its ssh server cannot be installed: {_last(keys / 'log')}")
        server = [*enter, "--bind", str(keys), "--", "/usr/sbin/sshd", "-D", "-e", "-f", str(keys / "sshd_config")]
        process = subprocess.Popen(server, stdout=log, stderr=log)
        try:
            _wait_for(process, port, keys / "log")
            yield programs
        finally:
            process.terminate()
            process.wait()


def _configured(keys: Path, port: int, board: Board) -> Path:
    if shutil.which("ssh") is None or shutil.which("ssh-keygen") is None:
        raise UnavailableError("`ssh` and `ssh-keygen` are not here: install openssh-client")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / name)], check=True)
    (keys / "sshd_config").write_text(_SERVER.format(port=port, keys=keys, environment=" ".join(environment(board))))
    (keys / "ssh_config").write_text(_CLIENT.format(port=port, keys=keys))
    programs = keys / "bin"
    programs.mkdir()
    ssh = programs / "ssh"
    ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {keys / "ssh_config"} "$@"\n')
    ssh.chmod(0o755)
    return programs


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + _PATIENCE_S
    while process.poll() is None and time.monotonic() < end:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise UnavailableError(f"its ssh server does not answer: {_last(log)}")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _last(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "no message"


if __name__ == "__main__":
    sys.exit(main())
