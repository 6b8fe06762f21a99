"""What a board's maker tells of it: JetPack and power mode of a Jetson."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

# L4T's release -> JetPack, by the longest beginning that fits. NVIDIA's archive of both.
_JETPACK = {
    "32.6.1": "4.6", "32.7": "4.6.1 or later", "35.2.1": "5.1", "35.3.1": "5.1.1", "35.4.1": "5.1.2",
    "35.5.0": "5.1.3", "35.6": "5.1.4 or later", "36.3": "6.0", "36.4.0": "6.1", "36.4.3": "6.2", "36.4": "6.2.1",
    "36.5": "6.2.2", "38.2": "7.0", "38.4": "7.1", "39": "7.2",
}  # fmt: skip
_RELEASE = re.compile(r"R(\d+)\s*\(release\),\s*REVISION:\s*([\d.]+)")
_TOOL_S = 10.0


def jetpack(root: Path = Path("/")) -> str | None:
    """Such as `6.2 (L4T 36.4.3)`, or `None` where this is no Jetson.

    Args:
        root: Where `/etc` is; a recorded tree in tests.
    """
    try:
        found = _RELEASE.search((root / "etc/nv_tegra_release").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None
    if not found:
        return None
    release = f"{found[1]}.{found[2]}"
    known = [start for start in _JETPACK if release == start or release.startswith(f"{start}.")]
    return f"{_JETPACK[max(known, key=len)]} (L4T {release})" if known else f"L4T {release}"


def power_mode() -> str | None:
    """The name of a Jetson's power mode; its number means another mode on another board."""
    return mode_in(_said("nvpmodel", "-q") or "")


def mode_in(said: str) -> str | None:
    """The power mode in what `nvpmodel -q` says."""
    found = re.search(r"NV Power Mode:\s*(\S+)", said)
    return found[1] if found else None


def _said(*command: str) -> str | None:
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_TOOL_S, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout
