"""A board behind a real OpenSSH server, and recordings of power."""

from __future__ import annotations

from pathlib import Path

import pytest

from ...benchmarks.targets.conftest import board, sshd

__all__ = ["board", "recording", "sshd"]


@pytest.fixture
def recording(tmp_path: Path) -> str:
    """A meter that plays 4 W for a minute, over and over."""
    path = tmp_path / "power.csv"
    path.write_text("t_s,power_w\n" + "".join(f"{k / 50},4.0\n" for k in range(3000)))
    return f"replay:{path}"
