"""How much of a data set each class covers, so that masks the wrong way round are seen before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.runtime.data.ignored import IGNORED
from edgeseg.runtime.faults import Fault

# A class that covers more than the background in so many of the masks is probably the background itself.
_NEARLY_ALL = 0.9
# Where more than this is left out, what was meant as foreground may be.
_MUCH_IGNORED = 0.5


@dataclass(frozen=True)
class Share:
    """What one class covers.

    Attributes:
        name: The class.
        pixels: Share of all pixels of all masks, in [0, 1].
        n_images: Masks that have it.
    """

    name: str
    pixels: float
    n_images: int


class Shares:
    """Counts class ids over masks."""

    def __init__(self) -> None:
        self.n_masks = 0
        self._pixels = np.zeros(256, np.int64)
        self._images = np.zeros(256, np.int64)
        # [k]: masks in which id k covers more than id 0.
        self._beats_background = np.zeros(256, np.int64)
        self._n_ignored_whole = 0

    def add(self, mask: npt.NDArray[np.uint8]) -> list[int]:
        """Count a mask, uint8 (H, W); return the ids in it, ascending."""
        counts = cv2.calcHist([mask], [0], None, [256], [0, 256]).ravel().astype(np.int64)
        self.n_masks += 1
        self._pixels += counts
        self._images += counts > 0
        self._beats_background += counts > counts[0]
        self._n_ignored_whole += int(counts[IGNORED] == mask.size)
        return np.flatnonzero(counts).tolist()

    def binary(self) -> Shares:
        """The same counts for masks of 0 and 255, where 255 means class 1."""
        found = Shares()
        found.n_masks = self.n_masks
        for mine, theirs in (
            (found._pixels, self._pixels),
            (found._images, self._images),
            (found._beats_background, self._beats_background),
        ):
            mine[:2] = theirs[[0, 255]]
        return found

    def by_class(self, classes: Sequence[str]) -> list[Share]:
        """The shares of these classes, by id; pixels of other values (ignored ones) count for none of them."""
        total = max(1, int(self._pixels[: len(classes)].sum()))
        return [Share(name, int(self._pixels[k]) / total, int(self._images[k])) for k, name in enumerate(classes)]

    def warnings(self, classes: Sequence[str]) -> list[Fault]:
        """Warnings where the background is not what covers most, and where much does not count."""
        return [*self._background_warning(classes), *self._ignored_warning(classes)]

    def _ignored_warning(self, classes: Sequence[str]) -> list[Fault]:
        ignored = int(self._pixels[IGNORED]) / max(1, int(self._pixels.sum()))
        if not classes or (not self._n_ignored_whole and ignored <= _MUCH_IGNORED):
            return []
        message = f"{ignored:.1%} of all pixels are left out by the key ignore"
        if self._n_ignored_whole:
            message += f", and {self._n_ignored_whole} of the {self.n_masks} masks hold nothing else"
        return [Fault("masks/", "much ignored", message, "look whether these pixels are foreground", "warning")]

    def _background_warning(self, classes: Sequence[str]) -> list[Fault]:
        found = self.by_class(classes)
        if not self.n_masks or not found:
            return []
        beaten = self._beats_background[: len(classes)] / self.n_masks
        often = int(np.argmax(beaten))
        largest = max(range(len(found)), key=lambda k: found[k].pixels)
        if largest == 0 and beaten[often] < _NEARLY_ALL:
            return []
        other = largest or often
        message = (
            f"{found[other].name} covers {found[other].pixels:.1%} of all pixels and {found[0].name}, the class of "
            f"id 0, {found[0].pixels:.1%}; it covers more in {beaten[other]:.0%} of the masks"
        )
        remedy = "look at a mask: if it is the wrong way round, write 0 where there is nothing, or reorder the classes"
        return [Fault("masks/", "background not largest", message, remedy, "warning")]
