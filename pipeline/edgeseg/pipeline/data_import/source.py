"""What every foreign format is read into: pictures with the objects on them, and what was not taken and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeseg.runtime.faults import Fault, FaultError

UInt8 = npt.NDArray[np.uint8]
Size = tuple[int, int]  # (height, width)
_EXAMPLES = 5


@dataclass(frozen=True)
class Shape:
    """One object.

    Attributes:
        label: Its class, as the format names it.
        kind: What it is drawn from, such as `polygon`.
        draw: Gives its pixels in a picture of a size: uint8, 0 or 1, shape (H, W).
        where: File and place, for messages.
    """

    label: str
    kind: str
    draw: Callable[[Size], UInt8]
    where: str


@dataclass(frozen=True)
class Item:
    """One picture.

    Attributes:
        name: Its path in the source, from which its name in the data set is made.
        image: The file, or the bytes where the annotation holds them itself.
        shapes: Objects, the later over the earlier.
        ids: Instead of shapes, what reads a mask of class ids (uint8, 255 where pixels do not count).
        size_px: (height, width) that the annotation was drawn on, if it says so.
        split: `train`, `val` or `test`, if the source says so.
        annotated: Whether the source has an annotation of it, be it an empty one.
        n_left: Objects of it that are not taken.
    """

    name: str
    image: Path | bytes
    shapes: tuple[Shape, ...] = ()
    ids: Callable[[], UInt8] | None = None
    size_px: Size | None = None
    split: str | None = None
    annotated: bool = True
    n_left: int = 0


@dataclass(frozen=True)
class Source:
    """A whole source.

    Attributes:
        items: Its pictures.
        labels: Labels of shapes as the source orders them, perhaps with one for the background.
        names: Of masks of ids instead, the class of each id; None where they are those that the masks turn out to hold.
        at_end: Called after the last picture, to refuse the whole for what was seen on the way.
    """

    items: Sequence[Item]
    labels: tuple[str, ...] = ()
    names: tuple[str, ...] | None = None
    at_end: Callable[[], None] | None = None


@dataclass(frozen=True)
class Wishes:
    """Options that change what is read.

    Attributes:
        classes: Names to take, in this order; None takes all there are. For `color` each is NAME=#RRGGBB.
        boxes: Take boxes as objects where there is no outline.
        crowds: Take what COCO calls crowds as objects; exporters mark brush strokes so, too.
    """

    classes: tuple[str, ...] | None = None
    boxes: bool = False
    crowds: bool = False


@dataclass
class Tally:
    """Counts what is not taken by reason, and what should be known of what is."""

    not_taken: dict[str, list[str]] = field(default_factory=dict)
    noted: dict[str, list[str]] = field(default_factory=dict)

    def skip(self, reason: str, example: str) -> None:
        """Count something that is not taken."""
        self.not_taken.setdefault(reason, []).append(example)

    def note(self, what: str, example: str) -> None:
        """Count something that is taken, and is not what one might think."""
        self.noted.setdefault(what, []).append(example)

    def as_json(self, which: dict[str, list[str]]) -> list[dict[str, Any]]:
        """Rows `reason`, `n`, `examples`."""
        return [{"reason": reason, "n": len(all_), "examples": all_[:_EXAMPLES]} for reason, all_ in which.items()]


def bad(file: object, place: str, message: str, remedy: str) -> FaultError:
    """An annotation that cannot be what its format says."""
    return FaultError(Fault(str(file), "bad annotation", f"{place}: {message}" if place else message, remedy))
