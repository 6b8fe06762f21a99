"""A board that is reached by a real OpenSSH server on loopback, with keys and a configuration of its own."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgeseg.benchmarks.targets.address import Address
from edgeseg.benchmarks.targets.measurement import Measurement

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@dataclass
class Board:
    """The device: `cache` is where edgeseg keeps things there, `server` the process of its sshd."""

    cache: Path
    server: subprocess.Popen
    port: int

    @property
    def root(self) -> Path:
        return self.cache / "edgeseg" / "bench"

    @property
    def programs(self) -> Path:
        """A folder on its PATH."""
        return self.cache.parent / "programs"

    def address(self, **changes) -> Address:
        """Its Python is this one, with all that is installed here."""
        return Address(
            **{"name": "pi", "scheme": "ssh", "host": "board", "python": sys.executable, "venv": False, **changes}
        )

    def cut(self) -> int:
        """End every connection, without a word, as a lost link does; returns how many there were."""
        mine = [pid for pid, (parent, _) in processes().items() if parent == self.server.pid]
        for pid in mine:
            os.kill(pid, signal.SIGKILL)
        return len(mine)

    def power_cut(self) -> None:
        """End all that runs on the device, at once."""
        for pid in self.at_work():
            with suppress(ProcessLookupError):  # a worker ends with its parent, which went before it
                os.kill(pid, signal.SIGKILL)

    def at_work(self) -> list[int]:
        found = processes()
        roots = {pid for pid, (_, command) in found.items() if str(self.root) in command}
        workers = {pid for pid, (parent, _) in found.items() if parent in roots}
        return [*roots, *workers]


def processes() -> dict[int, tuple[int, str]]:
    found = {}
    for pid in (one.name for one in Path("/proc").iterdir() if one.name.isdigit()):
        try:
            parent = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
            found[int(pid)] = (parent, Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def sshd(tmp_path_factory) -> Iterator[Board]:
    if SSHD is None or shutil.which("ssh") is None:
        pytest.skip("needs OpenSSH's client and server (openssh-server)")
    folder = tmp_path_factory.mktemp("sshd")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = {
        "PATH": f"{folder / 'programs'}:{os.environ['PATH']}",
        "XDG_CACHE_HOME": folder / "cache",
        "EDGESEG_TURNS": folder / "turns",
        "EDGESEG_EVIDENCE": "emulated",
        "OMP_NUM_THREADS": "1",
    }
    (folder / "sshd_config").write_text(
        f"""ListenAddress 127.0.0.1
Port {port}
HostKey {folder / "host"}
AuthorizedKeysFile {folder / "user.pub"}
PidFile none
StrictModes no
UsePAM no
MaxStartups 100
SetEnv {" ".join(f"{name}={value}" for name, value in variables.items())}
"""
    )
    (folder / "ssh_config").write_text(
        f"""Host board
HostName 127.0.0.1
Port {port}
IdentityFile {folder / "user"}
IdentitiesOnly yes
StrictHostKeyChecking no
UserKnownHostsFile {folder / "known"}
"""
    )
    (folder / "bin").mkdir()
    (folder / "programs").mkdir()
    ssh = folder / "bin" / "ssh"
    ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder / "ssh_config"} "$@"\n')
    ssh.chmod(0o755)
    (folder / "cache").mkdir()
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "sshd_config"], stderr=(folder / "log").open("w"))
    for _ in range(100):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    else:
        pytest.skip(f"sshd does not start here: {(folder / 'log').read_text()[-300:]}")
    yield Board(folder / "cache", server, port)
    server.terminate()
    server.wait()


@pytest.fixture
def board(sshd, monkeypatch, tmp_path) -> Iterator[Board]:
    """The board, empty, and a host whose ssh finds it."""
    monkeypatch.setenv("PATH", f"{sshd.cache.parent / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "host-cache"))
    yield sshd
    sshd.power_cut()
    sshd.cut()
    shutil.rmtree(sshd.root, ignore_errors=True)


@pytest.fixture
def make_job(make_subject, frame, tiny_config) -> Callable[..., Measurement]:
    """A short measurement of networks of these names."""

    def make(*names: str, **changes) -> Measurement:
        config = dataclasses.replace(tiny_config, **{"processes": 1, **changes})
        return Measurement(tuple(make_subject(name) for name in names), frame, "part.png", config)

    return make
