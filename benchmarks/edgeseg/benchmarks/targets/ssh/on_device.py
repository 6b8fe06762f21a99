"""What runs on the device with nothing but its own Python: files in, the bench begun and followed, the result out.

Sent over standard input by `connection.py`, which calls `main`. What measures is detached (`work.py`), so that neither
a lost link nor the end of the host disturbs it. Python 3.8 is enough for this file, so that a device whose Python is
too old for edgeseg can still say so.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

MARK = "@edgeseg-worker "
_RESERVE = 16 * 2**20  # held back for the result, see targets/device.py
_CHUNK, _POLL_S = 2**20, 0.2
ROOT = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgeseg" / "bench"


def main(values: dict[str, Any], data: BinaryIO) -> None:
    """Do one thing; `values["do"]` says what. Every answer is one JSON object a line, after the mark."""
    actions = {
        "look": look, "have": have, "put": put, "start": start, "follow": follow, "get": get, "clean": clean,
        "describe": describe, "stop": stop,
    }  # fmt: skip
    try:
        ROOT.mkdir(parents=True, exist_ok=True)
        actions[values["do"]](values, data)
    except OSError as error:
        say({"error": _words(error)})


def say(obj: dict[str, Any]) -> None:
    """One line to the host."""
    sys.stdout.write(MARK + json.dumps(obj) + "\n")
    sys.stdout.flush()


def look(values: dict[str, Any], _data: BinaryIO) -> None:
    """The Python that the job would use."""
    code = "import sys;print(*sys.version_info[:3])"
    try:
        found = subprocess.run([values["python"], "-c", code], stdout=subprocess.PIPE, check=True)  # noqa: S603
        say({"python": [int(part) for part in found.stdout.split()]})
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        say({"error": f"{values['python']} does not run: {error}"})


def have(values: dict[str, Any], _data: BinaryIO) -> None:
    """Which of the files, by their hash, are here."""
    say({"here": [one for one in values["hashes"] if (ROOT / "files" / one).is_file()]})


def put(values: dict[str, Any], data: BinaryIO) -> None:
    """One file into the store, under its hash; whole or not at all."""
    target = ROOT / "files" / values["sha256"]
    if _free() < values["bytes"] + _RESERVE:
        raise OSError(errno.ENOSPC, "")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    seen, left = hashlib.sha256(), values["bytes"]
    try:
        with part.open("wb") as file:
            while left and (chunk := data.read(min(_CHUNK, left))):
                file.write(chunk)
                seen.update(chunk)
                left -= len(chunk)
            file.flush()
            os.fsync(file.fileno())
        if seen.hexdigest() != values["sha256"]:
            say({"error": f"{values['bytes'] - left} of {values['bytes']} bytes arrived"})
            return
        part.replace(target)
    finally:
        if part.exists():
            part.unlink()
    say({"ok": True})


def start(values: dict[str, Any], _data: BinaryIO) -> None:
    """Begin the job, or go on with it: `began`, `busy` with what, or the `missing` files.

    `found`: its result is here, of another command than the one that asks.
    """
    hashes = [*values["files"].values(), *values["wheels"].values()]
    missing = [one for one in hashes if not (ROOT / "files" / one).is_file()]
    if missing:
        say({"missing": missing})
        return
    folder = ROOT / "runs" / values["id"]
    folder.mkdir(parents=True, exist_ok=True)
    alive = _locked(folder / "alive")
    done = (folder / "result.json").is_file()
    if alive is None or done:  # this very job is at work already, or done
        say({"began": False, "found": done and _text(folder / "asker") != values["asker"]})
        return
    bench = _locked(ROOT / "lock")
    if bench is None:
        say({"busy": _text(ROOT / "lock")})
        return
    _write(ROOT / "lock", f"{values['by']}, begun {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC")
    _lay_out(folder, values)
    _write(folder / "asker", values["asker"])
    code = _code(values)
    log = os.open(str(folder / "log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    command = [values["python"], "-m", "edgeseg.benchmarks.targets.ssh.work", str(folder), str(alive), str(bench)]
    process = subprocess.Popen(  # noqa: S603
        command,
        env=dict(os.environ, PYTHONPATH=str(code)),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        pass_fds=(alive, bench),
    )
    _write(folder / "pid", str(process.pid))
    say({"began": True, "found": False})


def follow(values: dict[str, Any], _data: BinaryIO) -> None:
    """Everything the job has said from `offset` on, until it ends; `gone` where it ended."""
    folder = ROOT / "runs" / values["id"]
    said = ""
    with (folder / "log").open("rb") as log:
        log.seek(values["offset"])
        while True:
            dead = _dead(folder)  # asked before the last look at the log
            while (line := log.readline()).endswith(b"\n"):
                text = line.decode("utf-8", "replace").strip()
                if text.startswith(MARK):
                    say(dict(json.loads(text[len(MARK) :]), offset=log.tell()))
                said = text or said
            log.seek(log.tell() - len(line))
            if dead:
                say({"event": "gone", "offset": log.tell(), "said": said[-300:]})
                return
            time.sleep(_POLL_S)


def stop(values: dict[str, Any], _data: BinaryIO) -> None:
    """End a job that nobody waits for; what it has measured stays, for the same job's next start."""
    folder = ROOT / "runs" / values["id"]
    if not _dead(folder):  # else its number may be another's by now
        os.killpg(int(_text(folder / "pid")), signal.SIGKILL)
    say({"ok": True})


def get(values: dict[str, Any], _data: BinaryIO) -> None:
    """The result, a JSON document."""
    text = (ROOT / "runs" / values["id"] / "result.json").read_text(encoding="utf-8")
    say({"result": text})


def clean(values: dict[str, Any], _data: BinaryIO) -> None:
    """Away with a job and its files; with all that was ever put here, where that is asked."""
    folder = ROOT / "runs" / values["id"]
    if folder.is_dir() and not _dead(folder):
        say({"error": "the job is at work"})
        return
    shutil.rmtree(str(folder), ignore_errors=True)
    for one in values["hashes"]:
        if (ROOT / "files" / one).exists():
            (ROOT / "files" / one).unlink()
    if values["everything"] and _locked(ROOT / "lock") is not None:  # no other bench uses it
        shutil.rmtree(str(ROOT), ignore_errors=True)
    say({"ok": True})


def describe(values: dict[str, Any], _data: BinaryIO) -> None:
    """What this machine says of itself, by the environment of the last bench if there is one; or what is `missing`."""
    folder = ROOT / "look" / str(os.getpid())
    try:
        try:
            with zipfile.ZipFile(str(ROOT / "files" / values["wheel"])) as archive:
                archive.extractall(str(folder))
        except FileNotFoundError:  # one that was asked before a link was lost has ended since, and thrown it away
            say({"missing": [values["wheel"]]})
            return
        python = values["python"]
        made = sorted((ROOT / "environments").glob("*/venv/bin/python")) if values["venv"] else []
        command = [str(made[-1]) if made else python, "-m", "edgeseg.benchmarks.targets.describe"]
        env, pipe = dict(os.environ, PYTHONPATH=str(folder)), subprocess.PIPE
        done = subprocess.run(command, env=env, stdout=pipe, stderr=subprocess.STDOUT, check=False)  # noqa: S603
        text = done.stdout.decode("utf-8", "replace")
        found = [line for line in text.splitlines() if line.startswith(MARK)]
        say({"told": json.loads(found[-1][len(MARK) :])} if found else {"error": text.strip()[-300:]})
    finally:
        shutil.rmtree(str(folder), ignore_errors=True)
        with contextlib.suppress(OSError):  # by one that was asked before a link was lost
            (ROOT / "files" / values["wheel"]).unlink()


def _lay_out(folder: Path, values: dict[str, Any]) -> None:
    """The job's folder: its files by their names, the order, what is held back for the result."""
    for kind in ("files", "wheels"):
        for name, one in values[kind].items():
            target = folder / kind / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                os.link(str(ROOT / "files" / one), str(target))
    (folder / "journal").mkdir(exist_ok=True)
    with (folder / "reserve").open("wb") as file:
        file.write(bytes(_RESERVE))
    _write(folder / "order.json", json.dumps(values["order"]))


def _code(values: dict[str, Any]) -> Path:
    """The wheel, unpacked: it makes the environment, and is one for a Python that has all the rest."""
    code: Path = ROOT / "environments" / values["order"]["environment"] / "code"
    if not code.is_dir():
        part = code.with_name("code.part")
        shutil.rmtree(str(part), ignore_errors=True)
        with zipfile.ZipFile(str(ROOT / "files" / values["wheels"][values["order"]["wheel"]])) as archive:
            archive.extractall(str(part))
        part.replace(code)
    return code


def _locked(path: Path) -> int | None:
    """The open lock file, or None where somebody holds it; a dead process gives it back."""
    number = os.open(str(path), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(number)
        return None
    return number


def _dead(folder: Path) -> bool:
    number = _locked(folder / "alive")
    if number is not None:
        os.close(number)
    return number is not None


def _free() -> int:
    found = os.statvfs(str(ROOT))
    return found.f_bavail * found.f_frsize


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _words(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        free = _free() // 10**6
        return f"the disk is full: {free} MB are free in {ROOT}; free some and run the same command again"
    return str(error)
