"""Opening a data set to score a bundle on: what its dataset.yaml says is held against what the bundle says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeseg.runtime.data.dataset import DataSet, open_dataset
from edgeseg.runtime.data.folder import Description
from edgeseg.runtime.data.ignored import check_ignore
from edgeseg.runtime.faults import bad_description
from edgeseg.runtime.score.labels import match_labels
from edgeseg.runtime.spec.input_spec import InputSpec
from edgeseg.runtime.text.textfile import read_text

# Objects whose size in the picture is off by this much still look the same to a network; training varies it by more.
_PIXEL_TOLERANCE = 0.05
# Also a folder or a broken link of that name: whoever put it there has described the data.
_MEANT = ("dataset.yaml", "dataset.yml")
_COLORS = {
    ("rgb", "gray"): "the frames are turned to gray (luma) for the bundle",
    ("gray", "rgb"): "the gray frames are repeated to three channels for the bundle",
}
# The key of ignored pixels in whatever form, and the one that needs no parser.
_IGNORE = re.compile(r"""\bignore["']?\s*:""")
_PLAIN_IGNORE = re.compile(r"ignore[ \t]*:[ \t]+(0|[1-9][0-9]{0,2})[ \t]*([ \t]#.*)?")


@dataclass(frozen=True)
class Opened:
    """A data set as a bundle can be scored on.

    Attributes:
        data: The data set; its samples' class ids are read as the bundle's.
        notes: What differs between data and bundle, and what was done about it.
        not_checked: What could not be held against the bundle, and why.
    """

    data: DataSet
    notes: tuple[str, ...] = ()
    not_checked: tuple[str, ...] = ()


@dataclass(frozen=True)
class About:
    """What a bundle, or a step's folder, says of what it was made for.

    Attributes:
        classes: Names by class id.
        input: Colour and window.
        data: The data sets it was trained on; see `Manifest`.
    """

    classes: tuple[str, ...]
    input: InputSpec
    data: tuple[Mapping[str, Any], ...] = ()


def open_for(about: About, root: Path, *, classes_by_id: bool = False) -> Opened:
    """Open a data set for a bundle.

    Without dataset.yaml, or where PyYAML is missing as on a device, classes and colour are the bundle's and that is
    said; ids that the bundle does not know are refused when the masks are read. The value of ignored pixels is read
    without PyYAML, too, for as foreground they would make every score wrong.

    Args:
        about: What the bundle says.
        root: Folder with `images/`, `masks/` and, if there, `dataset.yaml` and `meta.csv`.
        classes_by_id: Take class ids as they are where names differ.

    Raises:
        DataError: The folder cannot be used, or its classes are not the bundle's.
    """
    path = root / "dataset.yaml"
    unread = _why_unread(path)
    if unread is not None:
        ignore = _unparsed_ignore(path, about.classes) if path.is_file() else None
        unread += "" if ignore is None else f", but for ignore: {ignore}"
        lacks = f"class names, order, colour and pixel size of the data: {unread}; class ids are taken as the bundle's"
        name, its = root.resolve().name, about.input
        own = Description(name, about.classes, its.color, ignore=ignore, window=its.window)
        return Opened(open_dataset(root, about=own), not_checked=(lacks,))
    data = open_dataset(root)
    labels = match_labels(data.classes, about.classes, path, by_id=classes_by_id)
    color = _COLORS.get((data.color, about.input.color))
    notes = [labels.note, color and f"dataset.yaml says color {data.color}: {color}"]
    if data.window and about.input.window and data.window != about.input.window:
        both = f"dataset.yaml says window {list(data.window)}, the bundle {list(about.input.window)}"
        notes.append(f"{both}: the bundle's is applied, as on the device")
    pixel_note, pixel_unchecked = _pixel_sizes(data.pixel_mm, about.data)
    return Opened(
        replace(data, samples=tuple(replace(sample, ids=labels.ids) for sample in data.samples)),
        tuple(note for note in (*notes, pixel_note) if note),
        (pixel_unchecked,) if pixel_unchecked else (),
    )


def _why_unread(path: Path) -> str | None:
    """Why dataset.yaml cannot be read here, or None where it can."""
    if not path.is_file():
        others = sorted(one.name for one in path.parent.glob("*") if one.suffix.casefold() in (".yaml", ".yml"))
        if any(name.casefold() in _MEANT for name in others):
            return None  # what is wrong with it is said on opening
        return f"there is no {path}" + (f" ({', '.join(others)} is not read)" if others else "")
    try:
        import yaml  # noqa: F401 - only whether it is there
    except ImportError:
        return f"{path} was not read, for PyYAML is not installed (pip install pyyaml)"
    return None


def _unparsed_ignore(path: Path, classes: Sequence[str]) -> int | None:
    """The value of ignored pixels in a dataset.yaml that nothing here can parse, or None where it names none."""
    try:
        lines = [line for line in read_text(path).splitlines() if not line.lstrip().startswith("#")]
    except (OSError, UnicodeDecodeError) as error:
        raise bad_description(path, f"cannot be read ({error})", "check its rights, and save it as UTF-8") from error
    named = _IGNORE.findall("\n".join(lines))
    plain = [found[1] for line in lines if (found := _PLAIN_IGNORE.fullmatch(line))]
    if len(named) > 1 or len(plain) != len(named):
        message = "what it says of ignore takes PyYAML to read, which is not installed"
        raise bad_description(path, message, "`pip install pyyaml`, or write a line of its own, such as ignore: 255")
    return check_ignore(int(plain[0]), classes, path) if plain else None


def _pixel_sizes(own_mm: float | None, trained_on: Sequence[Mapping[str, Any]]) -> tuple[str | None, str | None]:
    """A note where the data's pixels are not of the size the bundle was trained on, or why nothing can be said."""
    known = (row.get("pixel_mm") for row in trained_on)
    sizes = [size for size in known if isinstance(size, int | float) and size > 0]
    if own_mm is None:
        lacking = f"the bundle was trained on {sizes[0]} mm, dataset.yaml has no pixel_mm" if sizes else None
        return None, lacking and f"pixel size of the data: {lacking}"
    if not sizes:
        return None, f"pixel size of the data ({own_mm} mm): the bundle does not say what it was trained on"
    near = min(sizes, key=lambda size: abs(own_mm / size - 1))
    if abs(own_mm / near - 1) <= _PIXEL_TOLERANCE:
        return None, None
    looks = f"the same thing covers {near / own_mm:.3g} times as many pixels along each side"
    return f"a pixel of the data is {own_mm} mm, the bundle was trained on {near} mm: {looks}", None
