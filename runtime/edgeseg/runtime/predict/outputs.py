"""Where masks and overlays go; what would write over a file of the user's is refused before the first frame runs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.predict.inputs import Input, is_folder
from edgeseg.runtime.predict.own_files import is_own
from edgeseg.runtime.text.names import folded

OVERLAYS = "overlays"  # apart, so that the masks can be fed back as masks/ of a data set


def mask_file(out: Path, place: Path, frame: int | None = None) -> Path:
    """`out`/PLACE.png, or of a frame of a film `out`/PLACE/000001.png."""
    return out / place.parent / f"{place.name}.png" if frame is None else out / place / f"{frame:06d}.png"


def overlay_film(out: Path, place: Path) -> Path:
    """The film of a film's overlays."""
    return out / OVERLAYS / place.parent / f"{place.name}.mp4"


def check_outputs(inputs: Sequence[Input], out: Path, read: Iterable[Path], *, overlay: bool, overwrite: bool) -> None:
    """Refuse what would lose a file.

    Args:
        inputs: What is segmented.
        out: The output folder.
        read: All files that are read, which not even `overwrite` may replace.
        overlay: Whether overlays are written too.
        overwrite: Whether files that edgeseg did not write may be replaced.

    Raises:
        ConfigError: If two inputs would write one file (also where only case or Unicode form differ, which many file
            systems do not tell apart), an output is an input, a folder is a file, or a foreign file would be replaced.
    """
    roots = (out, out / OVERLAYS) if overlay else (out,)
    _check_collisions(inputs, roots)
    kept = {(found.st_dev, found.st_ino) for path in read if (found := _stat(path)) is not None}
    foreign: list[Path] = []
    for one in inputs:
        for path in _written(one, out, roots):
            found = _stat(path)
            if found is not None and (found.st_dev, found.st_ino) in kept:
                it = "it" if _stat(one.path) == found else f"{path}, which is read too"
                raise ConfigError(f"The mask of {one.path} would replace {it}. Choose another --out folder.")
            _check_parents(path, out)
            if is_folder(path) and not path.is_symlink():
                raise ConfigError(
                    f"{path} is a folder, and a mask is to be written there. Choose another --out folder."
                )
            if os.path.lexists(path) and not overwrite and not is_own(path):
                foreign.append(path)
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise ConfigError(
            f"{foreign[0]}{more} would be overwritten, and edgeseg did not write that. "
            "Choose another --out folder, or say --overwrite."
        )


def remove_own(paths: Iterable[Path]) -> None:
    """Delete what an earlier run wrote under these names: it would be taken for this run's."""
    for path in paths:
        if is_own(path):
            path.unlink()


def remove_own_frames(folder: Path) -> None:
    """Delete the frames that an earlier run left in a film's folder."""
    remove_own(_frames(folder))


def _written(one: Input, out: Path, roots: Sequence[Path]) -> Iterator[Path]:
    """Files that one input will write, as far as is known; of a film those that are there already."""
    for root in roots:
        if one.is_film:
            yield from _frames(root / one.place)
            _check_parents(mask_file(root, one.place, 1), root)
        else:
            yield mask_file(root, one.place)
    if one.is_film and len(roots) > 1:
        yield overlay_film(out, one.place)


def _frames(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".png" and path.stem.isdigit())
    except OSError:
        return []


def _check_collisions(inputs: Sequence[Input], roots: Sequence[Path]) -> None:
    writers: dict[str, Input] = {}
    for one in inputs:
        for root in roots:
            own = root / one.place if one.is_film else mask_file(root, one.place)
            other = writers.setdefault(folded(str(own)), one)
            if other is not one:
                if _stat(other.path) is not None and _stat(other.path) == _stat(one.path):
                    raise ConfigError(f"{other.path} and {one.path} are one file. Name it once.")
                difference = "" if other.place == one.place else ", names that many file systems do not tell apart"
                raise ConfigError(
                    f"{other.path} and {one.path} would both write {own}{difference}. "
                    "Rename one, name a folder above both, or run them with different --out folders."
                )
    films = {folded(str(root / one.place)) for one in inputs if one.is_film for root in roots}
    for one in inputs if films else ():
        for root in roots:
            if not one.is_film and folded(str((root / one.place).parent)) in films:
                raise ConfigError(
                    f"The mask of {one.path} would lie among the frames of a film of that name. Rename it."
                )


def _check_parents(path: Path, root: Path) -> None:
    for parent in path.parents:
        if is_folder(parent):
            return
        if os.path.lexists(parent):
            raise ConfigError(f"{parent} is no folder, so {path} cannot be written. Choose another --out folder.")
        if parent == root.parent:
            return


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
