"""Where files are kept for all runs of a user, that can be made again."""

from __future__ import annotations

import os
from pathlib import Path

from edgeseg.runtime.errors import ConfigError


def cache_folder(room: str) -> Path:
    """`$XDG_CACHE_HOME/edgeseg/ROOM`, or under `~/.cache`; it need not be there.

    Raises:
        ConfigError: If this user has no home folder, as in a bare container or service.
    """
    given = os.environ.get("XDG_CACHE_HOME")
    try:
        home = Path(given) if given else Path.home() / ".cache"
    except RuntimeError as error:
        raise ConfigError("This user has no home folder to keep files in. Set HOME or XDG_CACHE_HOME.") from error
    return home / "edgeseg" / room
