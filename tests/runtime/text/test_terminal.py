"""stdout and stderr of a whole process: in any locale, with any name, closed, and on a full disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

GBK = os.fsdecode("检测".encode("gbk"))
LOCALES = {
    "utf-8 strict": {"PYTHONIOENCODING": "utf-8:strict"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "utf-16": {"PYTHONIOENCODING": "utf-16"},
    "C": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
}
SHOW = f"""
import sys
from edgeseg.runtime.text import terminal

def command():
    names = [{GBK!a}, {"检测"!a}, "\\x1b[2J"]
    if sys.argv[1] == "json":
        terminal.put_json(names)
    elif sys.argv[1] == "text":
        terminal.put("\\n".join(names))
        terminal.say(names[0])
    elif sys.argv[1] == "print":
        print(*names[:2], chr(233))
    elif sys.argv[1] == "much":
        for _ in range(20000):
            print("x" * 50)
        open(sys.argv[2], "w").close()
    return 0

sys.exit(terminal.run(command))
"""


def process(*arguments: object, **options: object) -> subprocess.CompletedProcess[bytes]:
    environment = os.environ | options.pop("env", {})  # type: ignore[operator]
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    command = [sys.executable, "-c", SHOW, *map(str, arguments)]
    return subprocess.run(command, check=False, env=environment, **settings)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("locale", LOCALES)
def test_json_is_utf_8_and_whole(locale: str) -> None:
    done = process("json", env=LOCALES[locale])
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout.decode("utf-8")) == [GBK, "检测", "\x1b[2J"]


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("kind", ["text", "print"])
def test_text_comes_out(locale: str, kind: str) -> None:
    done = process(kind, env=LOCALES[locale])
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert b"\x1b" not in done.stdout
    if locale == "utf-8 strict" and kind == "text":
        assert done.stdout.decode().split("\n")[:3] == [r"\xbc\xec\xb2\xe2", "检测", r"\x1b[2J"]
        assert done.stderr == b"\\xbc\\xec\\xb2\\xe2\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("kind", ["json", "text", "print", "much"])
def test_a_full_disk_is_one_line_and_code_1(kind: str, tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = process(kind, tmp_path / "after", stdout=full)
    assert done.returncode == 1
    lines = [line for line in done.stderr.decode().splitlines() if not line.startswith("\\x")]
    assert len(lines) == 1 and "No space left" in lines[0]
    assert kind != "much" or (tmp_path / "after").exists()  # the work went on


def test_a_closed_pipe_is_one_line_and_the_work_goes_on(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = process("much", tmp_path / "after", stdout=write)
    finally:
        os.close(write)
    assert done.returncode == 1
    assert done.stderr.decode() == "error: stdout was closed before everything was printed\n"
    assert (tmp_path / "after").exists()


@pytest.mark.parametrize("closed", [1, 2, (1, 2)])
def test_streams_that_are_not_there(closed: int | tuple[int, ...]) -> None:
    which = closed if isinstance(closed, tuple) else (closed,)
    command = " ".join(f"{fd}>&-" for fd in which)
    script = f'"$0" -c "$1" text {command}'
    done = subprocess.run(["/bin/sh", "-c", script, sys.executable, SHOW], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr + done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_stderr_may_be_full() -> None:
    with Path("/dev/full").open("w") as full:
        assert process("text", stderr=full).returncode == 0
