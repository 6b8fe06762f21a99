"""A folder that another program writes images into."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import monotonic

from edgeseg.runtime.data.imagefile import IMAGE_SUFFIXES, read_image
from edgeseg.runtime.errors import DataError
from edgeseg.runtime.predict.inputs import reason_against
from edgeseg.runtime.spec.input_spec import InputSpec
from edgeseg.runtime.stream.sources import Item, Source

_LOOK_S = 0.025
_COARSEST_S = 2.0  # a file system may tell times no finer


def of_folder(folder: Path, spec: InputSpec) -> Source:
    """Images that come into a folder once it is watched, by the time they were written.

    A file is taken when it has not grown between two looks. Whoever writes slowly uses a hidden name (`.part.png`) and
    renames. A file that is renamed over another is a new one; one that is written over in place, or removed and made
    again within a look, is not seen. What edgeseg wrote, and subfolders, are left out.
    """

    def items(stop: threading.Event) -> Iterator[Item]:
        watch = Watch(folder)
        while not stop.wait(_LOOK_S):
            for path in watch.finished():
                yield Item(str(path), partial(read_image, path, spec.color, spec.window, thorough=True))

    return items


class Watch:
    """What comes into a folder from now on.

    Args:
        folder: The folder.

    Raises:
        DataError: If it cannot be listed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._changed_ns = -1
        self._scan_until_s = 0.0
        self._known: dict[str, int] = {}  # inode by name: another file under the same name has another
        self._growing: dict[str, tuple[int, int]] = {}
        self._scan()
        self._growing.clear()  # what was there before is none of the stream's

    def finished(self) -> list[Path]:
        """Files that are whole since the last look, the oldest first; raises DataError where the folder is gone."""
        self._scan()
        whole: list[tuple[int, Path]] = []
        for name, before in list(self._growing.items()):
            path = self._folder / name
            try:
                status = path.stat()
            except OSError:  # it was moved away
                del self._growing[name]
                continue
            now = (status.st_size, status.st_mtime_ns)
            self._growing[name] = now
            if now == before and status.st_size:
                del self._growing[name]
                if reason_against(path) is None:
                    whole.append((status.st_mtime_ns, path))
        return [path for _, path in sorted(whole)]

    def _scan(self) -> None:
        """List the folder, if anything has come or gone."""
        try:
            changed_ns = self._folder.stat().st_mtime_ns
            if changed_ns == self._changed_ns and monotonic() > self._scan_until_s:
                return
            if changed_ns != self._changed_ns:
                self._changed_ns, self._scan_until_s = changed_ns, monotonic() + _COARSEST_S
            with os.scandir(self._folder) as entries:
                there = {entry.name: entry.inode() for entry in entries if _is_image(entry.name)}
        except OSError as error:
            raise DataError(
                f"{self._folder}: cannot be listed ({error.strerror}). Check its name and rights."
            ) from error
        for name, inode in there.items():
            if self._known.get(name) != inode:
                self._growing[name] = (-1, -1)
        self._known = there


def _is_image(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(IMAGE_SUFFIXES)
