"""From what a user names to the images and films in it, each with the place of its mask; what is left out, and why."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgeseg.runtime.data.imagefile import IMAGE_SUFFIXES
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.predict.own_files import is_own

FILM_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv")

_IMAGE_HEADS = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*")
_FILM_HEADS = (b"\x1aE\xdf\xa3", b"\0\0\1\xba", b"\0\0\1\xb3", b"\x30\x26\xb2\x75")  # Matroska, MPEG twice, ASF
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide")
_STILL_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1")  # still pictures in MP4's container


@dataclass(frozen=True)
class Input:
    """One image or film.

    Attributes:
        path: The file.
        place: Where its mask goes within the output folder, without suffix.
        is_film: Whether it has many frames; `place` is then their folder.
    """

    path: Path
    place: Path
    is_film: bool


@dataclass
class Inputs:
    """All inputs in order, and the files of folders that are none."""

    found: list[Input] = field(default_factory=list)
    not_taken: list[dict[str, str]] = field(default_factory=list)


def gather(inputs: Sequence[Path], out: Path) -> Inputs:
    """List images and films; a folder is gone through with its subfolders, in the order of names.

    Args:
        inputs: Files and folders. A file that is named is always taken: what is wrong with it becomes its row. Of
            folders, what edgeseg wrote and the masks of a data set are left out.
        out: The output folder, which is left out where it lies in an input folder.

    Raises:
        ConfigError: If folders were named and there is no image or film in anything.
    """
    gathered = Inputs()
    for path in inputs:
        if is_folder(path) and len(inputs) > 1 and path.resolve() == out.resolve():  # a shell's `*` names it too
            gathered.not_taken.append({"file": str(path), "reason": "the output folder"})
        elif is_folder(path):
            _walk(path, out, gathered)
        else:
            gathered.found.append(Input(path, Path(path.stem), _is_film(path)))
    if not gathered.found:
        reasons = sorted({one["reason"] for one in gathered.not_taken})
        others = f" ({len(gathered.not_taken)} not taken: {'; '.join(reasons[:3])})" if reasons else ""
        kinds = ", ".join((*IMAGE_SUFFIXES, *FILM_SUFFIXES))
        raise ConfigError(f"{', '.join(map(str, inputs))}: no image or film in it{others}. Taken are {kinds}.")
    return gathered


def is_folder(path: Path) -> bool:
    """As `Path.is_dir`, also for a name that is too long for any file."""
    return os.path.isdir(path)  # noqa: PTH112


def _walk(root: Path, out: Path, gathered: Inputs) -> None:
    for path in _files(root, out.resolve(), gathered, set()):
        reason = reason_against(path)
        if reason is None:
            gathered.found.append(Input(path, path.relative_to(root).with_name(path.stem), _is_film(path)))
        else:
            gathered.not_taken.append({"file": str(path), "reason": reason})


def _files(folder: Path, out: Path, gathered: Inputs, seen: set[Path]) -> Iterator[Path]:
    """Files below a folder; linked folders too, each once, so that a link to a folder above ends."""
    real = folder.resolve()
    if real == out and seen:
        gathered.not_taken.append({"file": str(folder), "reason": "the output folder"})
    if real in seen or (real == out and seen):
        return
    seen.add(real)
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        gathered.not_taken.append({"file": str(folder), "reason": f"cannot be listed ({error.strerror})"})
        return
    for entry in entries:
        path = folder / entry.name
        if entry.name.startswith("."):
            gathered.not_taken.append({"file": str(path), "reason": "hidden"})
        elif entry.name == "masks" and is_folder(path) and is_folder(folder / "images"):
            gathered.not_taken.append({"file": str(path), "reason": "the masks of a data set, with images beside it"})
        elif is_folder(path):
            yield from _files(path, out, gathered, seen)
        else:
            yield path


def reason_against(path: Path) -> str | None:
    """Why a file of a folder is not taken, or None."""
    if path.suffix.lower() not in (*IMAGE_SUFFIXES, *FILM_SUFFIXES):
        return f"no image or film by its suffix {path.suffix!r}" if path.suffix else "no suffix"
    if not path.is_file():
        return "a broken link" if path.is_symlink() else "no regular file"
    return "edgeseg wrote it" if is_own(path) else None


def _is_film(path: Path) -> bool:
    """Whether a file holds a film by its first bytes, or by its suffix where they tell nothing."""
    head = b""
    with contextlib.suppress(OSError):
        if path.is_file():  # of a pipe these bytes would be gone
            with path.open("rb") as file:
                head = file.read(12)
    if head[4:8] in _MP4_BOXES:
        return head[8:12] not in _STILL_BRANDS
    if head.startswith(_FILM_HEADS) or (head[:4] == b"RIFF" and head[8:11] == b"AVI"):
        return True
    is_image = head.startswith(_IMAGE_HEADS) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
    return path.suffix.lower() in FILM_SUFFIXES and not is_image
