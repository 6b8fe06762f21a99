"""Whether the window of 16-bit images keeps what is in them: a wrong one makes them white, black or nearly so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeseg.runtime.faults import Fault
from edgeseg.runtime.spec.input_spec import IntensityWindow

# Of 256. Fewer in all images together are a window that is far wider than what the camera gives.
_LEAST_LEVELS = 32


@dataclass
class WindowUse:
    """What a window makes of the images of a data set."""

    n_images: int = 0
    n_flat: int = 0
    first_flat: str = ""
    stored: tuple[int, int] = (65535, 0)
    mapped: tuple[int, int] = (255, 0)

    def add(self, name: str, stored: npt.NDArray[np.uint16], image: npt.NDArray[np.uint8]) -> bool:
        """Look at an image.

        Args:
            name: Of its file.
            stored: Before the window is applied, any shape.
            image: After.

        Returns:
            Whether the window leaves nothing of it: it has one value alone now, and had several.
        """
        values, levels = (int(stored.min()), int(stored.max())), (int(image.min()), int(image.max()))
        self.n_images += 1
        self.stored = (min(self.stored[0], values[0]), max(self.stored[1], values[1]))
        self.mapped = (min(self.mapped[0], levels[0]), max(self.mapped[1], levels[1]))
        flat = levels[0] == levels[1] and values[0] != values[1]
        if flat:
            self.n_flat += 1
            self.first_flat = self.first_flat or name
        return flat

    def faults(self, window: IntensityWindow) -> list[Fault]:
        """A fault where images lost everything, a warning where they all keep few levels."""
        found = f"the images hold values from {self.stored[0]} to {self.stored[1]}"
        remedy = "choose lo and hi of window in dataset.yaml so that what matters lies between them in all images"
        if self.n_flat:
            message = f"the window {list(window)} leaves one gray level of {self.n_flat} of the {self.n_images} images"
            return [Fault(f"images/{self.first_flat}", "lost by the window", f"{message}; {found}", remedy)]
        levels = self.mapped[1] - self.mapped[0] + 1
        if self.n_images and levels < min(_LEAST_LEVELS, self.stored[1] - self.stored[0] + 1):
            message = f"the window {list(window)} leaves {levels} of 256 gray levels in all images together; {found}"
            return [Fault("images/", "wide window", message, remedy, "warning")]
        return []
