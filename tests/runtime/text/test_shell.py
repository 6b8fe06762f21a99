"""Commands in messages: a shell splits them into the very words."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from edgeseg.runtime.text.shell import command


@pytest.mark.parametrize(
    "name", ["plain", "two words", "it's", '"q"', "$HOME", "a\nb", "`id`", "-dash", "~", "*", "#x", "é", ""]
)
def test_words_come_back(name: str) -> None:
    path = Path(name)
    line = command("edgeseg", "data", "check", path)
    assert Path(shlex.split(line)[3]) == path and not shlex.split(line)[3].startswith("-")
    shown = subprocess.run(["sh", "-c", f"printf '%s\\0' {line}"], capture_output=True, text=True, check=True).stdout
    assert shown.split("\0")[:-1] == shlex.split(line)


def test_a_name_that_is_no_text_reaches_the_command_through_a_shell(tmp_path: Path) -> None:
    name = os.fsdecode(b"it's a \\ \xbc\xec")
    (tmp_path / name).touch()
    done = subprocess.run(["bash", "-c", command("test", "-f", tmp_path / name)], check=False)
    assert done.returncode == 0 and command(tmp_path / name).isascii()
