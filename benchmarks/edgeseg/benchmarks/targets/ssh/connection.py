"""Calls to a device through the system's OpenSSH client, with the user's configuration, agent and jump hosts.

The remote command is one fixed text. What is to be done, with all values, goes over standard input: a line of JSON with
the program (`on_device.py`), then the bytes of a file.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from edgeseg.benchmarks.process.events import EVENT_MARK
from edgeseg.benchmarks.targets.address import Address
from edgeseg.runtime.errors import MeasureError

_PROGRAM = Path(__file__).with_name("on_device.py")
# Any shell takes it: single quotes around, none inside. A Python too old to read the program says its version.
_REMOTE = (
    "exec python3 -c 'import json,sys;v=json.loads(sys.stdin.buffer.readline().decode());n={};"
    'old=sys.version_info<(3,8);print(v["mark"]+json.dumps({"old":list(sys.version_info[:3])})) if old else '
    '(exec(compile(v.pop("program"),"edgeseg","exec"),n),n["main"](v,sys.stdin.buffer))\''
)
# A dead link is noticed in 15 s. BatchMode: nobody is there to type a password.
_OPTIONS = (
    *("-o", "BatchMode=yes", "-o", "ConnectTimeout=15", "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3"),
    *("-o", "ControlMaster=auto", "-o", "ControlPersist=60", "-T"),
)
_FAILED = 255  # of ssh itself; any other exit code is the remote command's
_CHUNK = 2**20


class LinkError(MeasureError):
    """The device cannot be reached, or no longer."""


class Connection:
    """A way to one device, kept open between calls.

    Attributes:
        address: Whereto.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        program = shutil.which("ssh")
        if program is None:
            raise MeasureError(f"{address.name}: there is no ssh on this machine: install OpenSSH's client")
        # A short path: a socket's name has at most 108 bytes.
        self._folder = tempfile.TemporaryDirectory(prefix="eseg-")
        where = ["-p", str(address.port)] if address.port else []
        where += ["-l", address.user] if address.user else []
        control = ["-o", f"ControlPath={self._folder.name}/c"]
        self._ssh = [program, *_OPTIONS, *control, *where, "--", address.host]

    def call(self, do: str, values: dict[str, Any], file: Path | None = None) -> dict[str, Any]:
        """Do one thing there.

        Args:
            do: Its name in `on_device.py`.
            values: What it needs.
            file: Sent after them.

        Returns:
            The device's answer.

        Raises:
            LinkError: It was not reached, or not to the end.
            MeasureError: It answered with an error.
        """
        answer = next(self.answers(do, values, file), None)
        if answer is None:
            raise LinkError(f"{self.address.name}: the device said nothing")
        if "error" in answer:
            raise MeasureError(f"{self.address.name}: {answer['error']}")
        return answer

    def answers(self, do: str, values: dict[str, Any], file: Path | None = None) -> Iterator[dict[str, Any]]:
        """Like `call`, for what answers more than once; an error is an answer here."""
        head = {"mark": EVENT_MARK, "program": _PROGRAM.read_text(encoding="utf-8"), "do": do, **values}
        pipe = subprocess.PIPE
        # Not a pipe for stderr: the process that keeps the connection open would hold it.
        with (
            tempfile.TemporaryFile() as said,
            subprocess.Popen([*self._ssh, _REMOTE], stdin=pipe, stdout=pipe, stderr=said) as process,  # noqa: S603
        ):
            assert process.stdin and process.stdout
            try:
                _send(process.stdin, head, file)
                for line in process.stdout:
                    text = line.decode("utf-8", errors="replace")
                    if text.startswith(EVENT_MARK):
                        yield self._read(text[len(EVENT_MARK) :])
                code = process.wait()
            except BaseException:
                process.kill()
                raise
            said.seek(0)
            self._check(code, said.read().decode("utf-8", errors="replace"))

    def shell(self, script: str, file: Path | None = None) -> str:
        """Run a script in the device's `sh`, for devices that have nothing else.

        Args:
            script: Its text.
            file: What it reads on standard input.

        Returns:
            What it printed.

        Raises:
            LinkError: The device was not reached, or not to the end.
            MeasureError: It ended with an error.
        """
        command = [*self._ssh, f"exec sh -c {shlex.quote(script)}"]
        # A file for stderr: see `answers`.
        with tempfile.TemporaryFile() as said, (file or Path("/dev/null")).open("rb") as data:
            done = subprocess.run(command, stdin=data, stdout=subprocess.PIPE, stderr=said, check=False)  # noqa: S603
            said.seek(0)
            self._check(done.returncode, said.read().decode("utf-8", errors="replace"))
        return done.stdout.decode("utf-8", errors="replace")

    def close(self) -> None:
        """End the connection that is kept open."""
        subprocess.run([*self._ssh[:-2], "-O", "exit", *self._ssh[-2:]], capture_output=True, check=False)  # noqa: S603
        self._folder.cleanup()

    def _read(self, text: str) -> dict[str, Any]:
        try:
            answer = dict(json.loads(text))
        except ValueError as error:  # cut off in the middle of a line
            raise LinkError(f"{self.address.name}: the link was cut") from error
        if "old" in answer:
            version = ".".join(str(part) for part in answer["old"])
            raise MeasureError(f"{self.address.name}: {too_old(version)}")
        return answer

    def _check(self, code: int, said: str) -> None:
        lines = [line for line in said.splitlines() if line.strip() and not line.startswith("Warning: Permanently")]
        last = lines[-1].strip() if lines else "no message"
        if code == _FAILED or code < 0:
            raise LinkError(f"{self.address.name} cannot be reached by ssh: {last}")
        if code == 127:
            raise MeasureError(
                f"{self.address.name}: no python3 is there: install it, or measure by other tools and import"
            )
        if code:
            raise MeasureError(f"{self.address.name}: exit code {code}: {last}")


def too_old(version: str) -> str:
    """What to do with a device whose Python edgeseg does not run on."""
    return (
        f"its Python is {version}, edgeseg needs 3.10: name a newer one in devices.yaml (python: python3.11). On "
        "JetPack 4 and 5 measure by its trtexec: --on trtexec://user@host"
    )


def _send(stdin: IO[bytes], head: dict[str, Any], file: Path | None) -> None:
    """The head, and the file after it; a device that hung up has said why, or its ssh has."""
    try:
        stdin.write(json.dumps(head).encode() + b"\n")
        if file is not None:
            with file.open("rb") as data:
                while chunk := data.read(_CHUNK):
                    stdin.write(chunk)
        stdin.close()
    except BrokenPipeError:
        pass
