"""Boards laid out from `tests/data/boards`, and programs on PATH that print what a board's would."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

BOARDS = Path(__file__).parents[2] / "data/boards"


@pytest.fixture
def board(tmp_path: Path) -> Callable[[str], Path]:
    """Lays a board out and returns its root folder."""

    def lay_out(name: str) -> Path:
        root = tmp_path / name
        for line in (BOARDS / f"{name}.tree").read_text().splitlines():
            if line.startswith("#"):
                continue
            place, _, content = line.partition(" = ")
            path = root / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content.replace("\\n", "\n") + "\n")
        return root

    return lay_out


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Puts a shell script on PATH, before everything else."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def put(name: str, script: str) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return put
