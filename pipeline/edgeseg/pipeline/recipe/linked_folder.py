"""A data set that lies somewhere else: links to its images and masks, beside files of one's own."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from edgeseg.runtime.errors import ConfigError


def link(place: Path, target: Path) -> None:
    """Make a relative link, so that data and runs can move together.

    A right one stays, for another process may read it; another link is replaced.

    Raises:
        ConfigError: Something that is no link is there, or the file system has no links.
    """
    wanted = os.path.relpath(target.resolve(), place.parent.resolve())
    if place.is_symlink() and os.readlink(place) == wanted:  # noqa: PTH115 - compared as text
        return
    if place.exists() and not place.is_symlink():
        raise ConfigError(f"{place} is there and no link to {target}; remove it, or name an empty folder")
    made = place.with_name(f".{place.name[:32]}.{uuid.uuid4().hex[:8]}")
    try:
        made.symlink_to(wanted, target_is_directory=target.is_dir())
    except OSError as error:
        remedy = "name a folder on a file system that has links"
        raise ConfigError(f"{place} cannot be made a link to {target} ({error.strerror}); {remedy}") from error
    made.replace(place)
