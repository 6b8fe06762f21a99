"""Commands in messages: a shell splits them into the very words."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from edgeseg.runtime.shell import command


@pytest.mark.parametrize(
    "name", ["plain", "two words", "it's", '"q"', "$HOME", "a\nb", "`id`", "-dash", "~", "*", "#x", "é", ""]
)
def test_words_come_back(name: str) -> None:
    path = Path(name)
    line = command("edgeseg", "data", "check", path)
    assert Path(shlex.split(line)[3]) == path and not shlex.split(line)[3].startswith("-")
    shown = subprocess.run(["sh", "-c", f"printf '%s\\0' {line}"], capture_output=True, text=True, check=True).stdout
    assert shown.split("\0")[:-1] == shlex.split(line)
