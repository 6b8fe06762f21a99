"""Files of a source: found by the names that annotations give, and never outside of it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

from edgeseg.runtime.data.imagefile import IMAGE_SUFFIXES
from edgeseg.runtime.errors import ConfigError

# What is looked at as a picture of a source; beside what edgeseg reads, what it turns into PNG.
PICTURES = (*IMAGE_SUFFIXES, ".jfif", ".jpe", ".gif", ".pbm", ".pgm", ".ppm", ".pnm", ".jp2")
_SPLITS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


class OutsideError(Exception):
    """A name that leads out of the source."""


class Tree:
    """The files of a source folder; links that lead out of it are no part of it.

    Attributes:
        root: The folder.
        outside: Links that lead out of it, relative to the root.
    """

    def __init__(self, root: Path) -> None:
        """List the folder.

        Raises:
            ConfigError: There is no such folder.
        """
        if root.is_file():
            raise ConfigError(f"{root} is a file; name the folder that holds it and the images, unpacked")
        if not root.is_dir():
            raise ConfigError(f"{root}: no such folder; name the one that holds images and annotations")
        self.root = root
        self._real = root.resolve()
        self.outside: list[str] = []
        self._files = sorted(self._walk(root))
        self._by_name: dict[str, list[Path]] = {}
        for path in self._files:
            self._by_name.setdefault(path.name.casefold(), []).append(path)

    def files(self, *suffixes: str) -> list[Path]:
        """Files with these suffixes, in any case, sorted."""
        return [path for path in self._files if path.suffix.lower() in suffixes]

    def pictures(self) -> list[Path]:
        """Files with the suffix of a picture, sorted."""
        return self.files(*PICTURES)

    def name(self, path: Path) -> str:
        """A file's path in the source."""
        return path.relative_to(self.root).as_posix()

    def inside(self, path: Path) -> Path | None:
        """This path without `..`, if it is a file of the source; None if it is not there.

        Raises:
            OutsideError: It lies elsewhere, by its name or through a link.
        """
        try:
            place = self.root / self._relative(path)
            if not place.resolve().is_relative_to(self._real):
                raise OutsideError(str(path))
            return place if place.is_file() else None
        except (OSError, ValueError):  # a name that no file can have
            return None

    def _relative(self, path: Path) -> str:
        if path.is_relative_to(self.root):
            relative = os.path.normpath(path.relative_to(self.root))
        else:
            relative = os.path.relpath(path.resolve(), self._real)
        if Path(relative).parts[:1] == (os.pardir,):
            raise OutsideError(str(path))
        return relative

    def find(self, name: str, *folders: Path, prefer: str | None = None) -> Path | None:
        """Find the file that an annotation names.

        Args:
            name: As written there, with slashes of any kind.
            folders: Where it is looked for first, in this order.
            prefer: A split; of files whose path ends in the name, those in a folder of that split go before those in a
                folder of none, and those of another split are not taken, unless the name itself has the folder.

        Returns:
            The file, or None where there is none, or several that fit alike.

        Raises:
            OutsideError: The name leads out of the source.
        """
        plain = PurePosixPath(name.replace("\\", "/"))
        outside = False
        for folder in folders:
            if not folder.is_relative_to(self.root):  # above the source, whatever the name
                continue
            try:
                found = self.inside(folder / plain)
            except OutsideError:
                outside = True
                continue
            if found is not None:
                return found
        if outside or plain.is_absolute() or ".." in plain.parts:
            raise OutsideError(name)
        parts = tuple(part.casefold() for part in plain.parts)
        near = [one for one in self._by_name.get(plain.name.casefold(), []) if _ends_in(one, parts)]
        if prefer is not None and split_of(str(plain.parent)) is None:
            splits = {one: split_of(self.name(one.parent)) for one in near}
            near = [one for one in near if splits[one] == prefer] or [one for one in near if splits[one] is None]
        return near[0] if len(near) == 1 else None

    def _walk(self, folder: Path) -> Iterator[Path]:
        for path in sorted(folder.iterdir()):
            if path.name.startswith(".") or path.name == "__MACOSX":
                continue
            if path.is_symlink() and not path.resolve().is_relative_to(self._real):
                self.outside.append(path.relative_to(self.root).as_posix())
            elif path.is_dir():
                if not path.is_symlink():  # its target is walked itself; a link to a folder above would never end
                    yield from self._walk(path)
            elif path.is_file():
                yield path


def split_of(name: str) -> str | None:
    """The split that a path names, such as `instances_val2017.json` or `images/train/a`; the last such word counts."""
    words = re.split(r"[^a-z]+", name.lower())
    return next((_SPLITS[word] for word in reversed(words) if word in _SPLITS), None)


def folder_split(path: str) -> str | None:
    """The split that one of the folders of a path is called by."""
    return next((_SPLITS[part] for part in map(_plain, PurePosixPath(path).parts[:-1]) if part in _SPLITS), None)


def stems(names: Iterable[str], note: Callable[[str, str], None]) -> dict[str, str]:
    """A stem for each path of a source, different without regard to case.

    Args:
        names: Paths in the source.
        note: Is told of names that were made of more than the file's own.
    """
    names = list(names)
    plain = {name: PurePosixPath(name).stem.lstrip(".") or "image" for name in names}
    made: dict[str, str] = {}
    taken: set[str] = set()
    often: dict[str, int] = {}
    for name in names:
        often[plain[name].casefold()] = often.get(plain[name].casefold(), 0) + 1
    for name in names:
        parts = PurePosixPath(name).with_suffix("").parts
        alone = often[plain[name].casefold()] == 1
        stem = plain[name] if alone else "_".join(part.lstrip(".") for part in parts)
        if stem.casefold() in taken:
            stem += PurePosixPath(name).suffix.replace(".", "_")
        number, first = 2, stem
        while stem.casefold() in taken or (stem.casefold() in often and stem != plain[name]):
            stem, number = f"{first}_{number}", number + 1
        taken.add(stem.casefold())
        made[name] = stem
        if stem != plain[name]:
            note("named with its folder or suffix, since others have the same name", f"{name} -> {stem}")
    return made


def _ends_in(path: Path, parts: tuple[str, ...]) -> bool:
    return tuple(part.casefold() for part in path.parts[-len(parts) :]) == parts


def _plain(part: str) -> str:
    return re.sub(r"[^a-z]", "", part.lower())
