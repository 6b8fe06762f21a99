"""Calls to one phone through `adb`, which must be on the host's PATH."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import IO

from edgeseg.runtime.errors import MeasureError

_SHORT_S = 60.0
_EXIT = "@edgeseg-exit "
# Runs "$@"; words of the shell alone, so that a line costs no process.
_STAMPED = (
    f"{{ \"$@\"; printf '\\n{_EXIT}%s\\n' $?; }} 2>&1 | while IFS= read -r line; do "
    'up=; { read -r up rest < /proc/uptime; } 2> /dev/null; echo "$up@$line"; done'
)
_LINE = re.compile(r"^([\d.]*)@(.*?)\r?$", re.MULTILINE)


def connected() -> list[str]:
    """Serials of the devices that adb can use now; none without adb."""
    if shutil.which("adb") is None:
        return []
    lines = _adb(["devices"], _SHORT_S).stdout.splitlines()[1:]
    return [line.split("\t")[0] for line in lines if line.endswith("\tdevice")]


class Phone:
    """One phone.

    Attributes:
        serial: As `adb devices` prints it.
    """

    def __init__(self, serial: str) -> None:
        self.serial = serial

    def push(self, file: Path, target: str) -> None:
        """Copy a file there.

        Raises:
            MeasureError: It does not arrive.
        """
        done = self._run(["push", str(file), target], timeout_s=600.0)
        if done.returncode:
            raise MeasureError(f"adb://{self.serial}: {file.name} cannot be pushed: {_last(done)}")

    def pull(self, source: str, file: Path) -> None:
        """Copy a file from there.

        Raises:
            MeasureError: It does not arrive.
        """
        done = self._run(["pull", source, str(file)], timeout_s=600.0)
        if done.returncode or not file.is_file():
            raise MeasureError(f"adb://{self.serial}: {source} cannot be pulled: {_last(done)}")

    def shell(self, *words: str, timeout_s: float = _SHORT_S) -> subprocess.CompletedProcess[str]:
        """Run a command there; `words` are quoted for the phone's shell, and both streams come as stdout."""
        command = " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)
        return self._run(["shell", f"{command} 2>&1"], timeout_s)

    def script(self, text: str) -> str:
        """What a script for the phone's shell prints."""
        return self.shell("sh", "-c", text).stdout

    def stamped(self, *words: str, timeout_s: float) -> tuple[int, list[tuple[float | None, str]]]:
        """Run a command there, and note when each of its lines came.

        Returns:
            Its exit code, and its lines, each with the phone's time since it was started [s], where it tells it.
        """
        done = self.shell("sh", "-c", _STAMPED, "sh", *words, timeout_s=timeout_s)
        lines = [(float(stamp) if stamp else None, text) for stamp, text in _LINE.findall(done.stdout)]
        code = next((text[len(_EXIT) :] for _, text in reversed(lines) if text.startswith(_EXIT)), "")
        return int(code) if code.isdigit() else done.returncode or 1, [
            one for one in lines if not one[1].startswith(_EXIT)
        ]

    def begin(self, text: str, file: IO[bytes]) -> subprocess.Popen[bytes]:
        """Run a script there that goes on; what it prints goes to a file here."""
        command = [_program(), "-s", self.serial, "shell", text]
        nothing = subprocess.DEVNULL
        return subprocess.Popen(command, stdin=nothing, stdout=file, stderr=nothing)  # noqa: S603

    def text(self, *words: str) -> str:
        """What a command prints, or "" where it fails or is not there."""
        done = self.shell(*words)
        return "" if done.returncode else done.stdout.strip()

    def _run(self, words: list[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
        done = _adb(["-s", self.serial, *words], timeout_s)
        lost = f"device '{self.serial}' not found" in done.stderr or "device offline" in done.stderr
        if lost or "unauthorized" in done.stderr:
            raise MeasureError(
                f"adb://{self.serial} cannot be reached: {_last(done)}: plug it in, allow USB debugging on its screen, "
                "and look at `adb devices`"
            )
        return done


def _adb(words: list[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    program = _program()
    try:
        return subprocess.run(  # noqa: S603
            [program, *words], capture_output=True, text=True, errors="replace", timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise MeasureError(f"adb gave no answer in {timeout_s:g} s: {' '.join(words[:4])}") from error


def _program() -> str:
    program = shutil.which("adb")
    if program is None:
        raise MeasureError("there is no adb on this machine: install Android's platform tools")
    return program


def _last(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in (done.stdout + "\n" + done.stderr).splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"exit code {done.returncode}"
