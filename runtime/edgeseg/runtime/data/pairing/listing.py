"""Which files of a folder are taken as images or masks, and which are not, and why: nothing is left out in silence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeseg.runtime.data.imagefile import IMAGE_SUFFIXES

# Pictures and volumes that are not read; beside our own suffixes, what tells a forgotten image from a note.
_OTHER_PICTURES = (
    r"\.(avif|bmp|cr2|cr3|dcm|dicom|dng|exr|gif|hdr|heic|heif|ima|jfif|jp2|jpe|jpeg|jpg|jxl|mat|mha|mhd|nef|nii|npy|npz|"
    r"nrrd|pbm|pcx|pgm|png|pnm|ppm|psd|raw|svs|tga|tif|tiff|webp)"
)
_FOLDER, _HIDDEN = "in a folder of its own, which is not looked into", "hidden"
LOST_LINK, TRAILING_BLANK = "a link to nothing", "named with a blank at the end"


@dataclass(frozen=True)
class LeftOut:
    """Something in images/ or masks/ that is not taken.

    Attributes:
        path: The file or folder.
        reason: Why, in words that follow "not taken, because it is".
        n_pictures: Picture files it stands for: 1 or 0 for a file, those within for a folder.
    """

    path: Path
    reason: str
    n_pictures: int

    @property
    def stem(self) -> str:
        """What would pair it; also of names such as `a.nii.gz` and with blanks at the end."""
        return self.path.name.strip().partition(".")[0] if self.path.name.endswith(".gz") else self.path.stem

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder with pictures in it."""
        return self.reason == _FOLDER


@dataclass(frozen=True)
class Listing:
    """The files of one folder.

    Attributes:
        folder: Itself.
        taken: Stem to file, sorted by name.
        doubled: Files whose stem another one has; not taken.
        left_out: All else, sorted by name.
        exists: Whether there is such a folder.
    """

    folder: Path
    taken: Mapping[str, Path]
    doubled: tuple[Path, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    exists: bool = True


def list_files(folder: Path, suffixes: tuple[str, ...]) -> Listing:
    """Take the files with these suffixes (in any case) by stem; folders within are not looked into.

    Raises:
        OSError: The folder cannot be read.
    """
    if not folder.is_dir():
        return Listing(folder, {}, exists=False)
    taken: dict[str, Path] = {}
    doubled: list[Path] = []
    left_out: list[LeftOut] = []
    for path in sorted(folder.iterdir()):
        why_not = _why_not(path, suffixes)
        if why_not is not None:
            left_out.append(why_not)
        elif path.stem in taken:
            doubled.append(path)
        else:
            taken[path.stem] = path
    return Listing(folder, taken, tuple(doubled), tuple(left_out))


def summary(left_out: Iterable[LeftOut], root: Path) -> list[dict[str, object]]:
    """What was not taken, by folder and reason: `where`, `reason`, `n`, and the first few names as `files`."""
    groups: dict[tuple[str, str], list[LeftOut]] = {}
    for one in left_out:
        groups.setdefault((f"{one.path.parent.relative_to(root).as_posix()}/", one.reason), []).append(one)
    return [
        {
            "where": where,
            "reason": reason,
            "n": sum(max(1, one.n_pictures) for one in group),
            "files": [one.path.name + "/" * one.is_folder for one in group[:5]] + ["..."] * (len(group) > 5),
        }
        for (where, reason), group in groups.items()
    ]


def kinds(left_out: Iterable[LeftOut]) -> str:
    """The suffixes of what was left out, the most frequent first, for a message."""
    counts = Counter(map(_kind, left_out))
    return ", ".join(kind for kind, _ in counts.most_common(6))


def _kind(one: LeftOut) -> str:
    if one.path.is_dir():
        return "folders"
    return "hidden files" if one.reason == _HIDDEN else one.path.suffix or "files without a suffix"


def is_picture(path: Path) -> bool:
    """Whether this is a file, not hidden, with the name of a picture or volume, readable or not."""
    if path.name.startswith(".") or path.is_dir():
        return False
    name = path.name.strip().lower().removesuffix(".gz")
    return bool(re.fullmatch(_OTHER_PICTURES, Path(name).suffix)) or name.endswith(IMAGE_SUFFIXES)


def _why_not(path: Path, suffixes: tuple[str, ...]) -> LeftOut | None:
    picture = int(is_picture(path))
    if path.is_dir():
        within = 0 if path.name.startswith(".") else sum(is_picture(one) for one in path.rglob("*"))
        return LeftOut(path, _FOLDER if within else "a folder without pictures", within)
    if path.name.startswith("."):
        return LeftOut(path, _HIDDEN, 0)
    if not path.is_file():
        return LeftOut(path, LOST_LINK if path.is_symlink() else "no regular file", picture)
    if path.suffix.lower() in suffixes:
        return None
    if path.suffix.strip().lower() in suffixes:
        return LeftOut(path, TRAILING_BLANK, picture)
    return LeftOut(path, f"a {path.suffix.lower()} file" if path.suffix else "without a suffix", picture)
