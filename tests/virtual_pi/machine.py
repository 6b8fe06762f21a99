"""Where commands run: this machine, or a board of the userland. Both see the same folder at the same place."""

from __future__ import annotations

import json
import subprocess
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from board import BOARDS
from namespace import run
from userland import entered

from edgeseg.runtime.errors import EdgesegError


class Machine(ABC):
    """A machine with edgeseg installed.

    Attributes:
        name: In messages and of its own folders.
        python: That has edgeseg.
    """

    name: str
    python: str

    @abstractmethod
    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a command and keep what it prints."""

    def run(self, *command: str, ok: tuple[int, ...] = (0,)) -> str:
        """Return what a command prints.

        Raises:
            EdgesegError: If it ends with another exit code than those of `ok`.
        """
        done = self._run(list(command))
        if done.returncode not in ok:
            last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
            raise EdgesegError(f"{self.name}: `{' '.join(command)}` ended with {done.returncode}: {last}")
        return done.stdout

    def edgeseg(self, *arguments: str, ok: tuple[int, ...] = (0,)) -> dict[str, Any]:
        """Return the report of one of the device's commands."""
        report: dict[str, Any] = json.loads(self.run(self.python, "-m", "edgeseg.runtime", *arguments, ok=ok))
        return report


class Here(Machine):
    """This machine and this environment."""

    name = "here"
    python = sys.executable

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, capture_output=True, text=True, check=False)


class Pi(Machine):
    """A board of the userland.

    Args:
        board: Of `BOARDS`.
        userland: As of `userland.made`.
        shared: Folder that is there too.
        state: Folder that takes what is written elsewhere.
    """

    python = "/srv/edgeseg/bin/python"

    def __init__(self, board: str, userland: Path, shared: Path, state: Path) -> None:
        self.name = board
        self._userland, self._shared, self._state = userland, shared, state
        self._pip_cache = userland / "pip"
        self._pip_cache.mkdir(exist_ok=True)

    def install(self, wheel: Path, extras: str, constraints: Path) -> None:
        """Make an environment and install a wheel as a user would; pip's cache outlives it."""
        self.run("python3", "-m", "venv", str(Path(self.python).parents[1]))
        pip = (self.python, "-m", "pip", "--cache-dir", str(self._pip_cache), "--disable-pip-version-check")
        self.run(*pip, "install", "-q", "-c", str(constraints), f"edgeseg[{extras}] @ file://{wheel}")

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        binds = (self._shared, self._pip_cache)
        return run(entered(self._userland, command, BOARDS[self.name], binds, self._state), capture=True)
