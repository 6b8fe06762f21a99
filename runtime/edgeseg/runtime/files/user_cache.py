"""Where files are kept for all runs of a user, that can be made again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(room: str) -> Path:
    """`$XDG_CACHE_HOME/edgeseg/ROOM`, or under `~/.cache`; it need not be there."""
    given = os.environ.get("XDG_CACHE_HOME")
    return (Path(given) if given else Path.home() / ".cache") / "edgeseg" / room
