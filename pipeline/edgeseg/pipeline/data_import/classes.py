"""Class names: the background first, then the source's in their order, or those that were asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgeseg.runtime.data.ignored import IGNORED
from edgeseg.runtime.errors import ConfigError, DataError

BACKGROUND = "background"
# What tools call pixels of no object, and pixels that do not count.
_BACKGROUNDS = frozenset(("background", "_background_", "__background__"))
_IGNORED = frozenset(("__ignore__", "_ignore_"))  # no plain word: a void may be a defect
_COLOUR = re.compile(r"#?([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})")
Colour = tuple[int, int, int]  # red, green, blue


@dataclass(frozen=True)
class Table:
    """Names by id, and the id of every label of the source that is taken."""

    names: tuple[str, ...]
    ids: Mapping[str, int]


def is_background(label: str) -> bool:
    """Whether a label means no object."""
    return label.strip().casefold() in _BACKGROUNDS


def is_ignored(label: str) -> bool:
    """Whether a label means pixels that do not count."""
    return label.strip().casefold() in _IGNORED


def class_table(labels: Sequence[str], wanted: Sequence[str] | None) -> Table:
    """Give each label its id.

    Args:
        labels: Those of the source, in its order; the background and ignored ones among them or not.
        wanted: Names to take, in the order of their ids; None takes all. A background among them may come first.

    Raises:
        DataError: No class is left, or there are more than a mask can hold.
        ConfigError: A wanted name is given twice.
    """
    chosen = [name for name in (labels if wanted is None else wanted) if not is_background(name)]
    chosen = [name for name in chosen if not (wanted is None and is_ignored(name))]
    if wanted is not None and len(set(chosen)) != len(chosen):
        raise ConfigError(f"--classes names a class twice: {', '.join(chosen)}; name each once")
    names = (BACKGROUND, *dict.fromkeys(chosen))
    if len(names) < 2:
        raise DataError("no class but the background was found; a data set needs one kind of object at least")
    if len(names) > IGNORED:
        raise DataError(f"{len(names)} classes with the background, a mask holds 255; choose some with --classes")
    ids = {name: number for number, name in enumerate(names) if number}
    ids |= {label: 0 for label in labels if is_background(label)}
    ids |= {label: IGNORED for label in labels if is_ignored(label) and label not in ids}
    return Table(names, ids)


def colours_of(classes: Sequence[str]) -> dict[str, Colour]:
    """Read NAME=#RRGGBB of every item.

    Raises:
        ConfigError: An item is written otherwise, or two of them have one name or colour.
    """
    found: dict[str, Colour] = {}
    for item in classes:
        name, _, text = item.rpartition("=")
        match = _COLOUR.fullmatch(text.strip())
        if not name.strip() or match is None:
            raise ConfigError(f"--classes has {item!r}; with --from color write NAME=#RRGGBB, such as crack=#ff0000")
        if name.strip() in found:
            raise ConfigError(f"--classes names {name.strip()} twice; name each class once")
        found[name.strip()] = (int(match[1], 16), int(match[2], 16), int(match[3], 16))
    check_colours(found, "--classes")
    return found


def check_colours(colours: Mapping[str, Colour], where: str) -> None:
    """Refuse two classes of one colour.

    Raises:
        ConfigError: There are two.
    """
    seen: dict[Colour, str] = {}
    for name, colour in colours.items():
        if colour in seen:
            message = f"{where} gives {seen[colour]} and {name} one colour, {hex_of(colour)}"
            raise ConfigError(f"{message}; each class needs its own")
        seen[colour] = name


def hex_of(colour: Colour) -> str:
    """A colour as #rrggbb."""
    return "#" + bytes(colour).hex()
