"""The pictures that a network is scored on, told by their pixels: saved again they are another file, and no other
picture.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeseg.compress.calibration.folder import ImageFolder
from edgeseg.runtime.data.dataset import DataSet
from edgeseg.runtime.data.pixel_hash import short_pixel_hash
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.score.seen import SeenImages


class HeldOut:
    """Val and test of a data set."""

    def __init__(self, data: DataSet) -> None:
        """Read them.

        Raises:
            DataError: If an image cannot be read.
        """
        self._seen = SeenImages.of_samples((one for one in data.samples if one.split != "train"), data.color)

    def refuse(self, folder: ImageFolder, path: Path, image: npt.NDArray[np.unsignedinteger[Any]], use: str) -> None:
        """Refuse an image that shows the same pixels as one of them, however it is coded.

        Args:
            folder: Of the user's images.
            path: The image's file.
            image: As `read_image` gives it, in the data set's colour.
            use: What it would be for, `calibrate` or `train`, for the message.

        Raises:
            ConfigError: If it does.
        """
        split = self._seen.split_of(short_pixel_hash(image))
        if split in ("val", "test"):
            raise ConfigError(
                f"{folder.named_by} is {folder.path}: {path.name} shows the same pixels as an image of {split}. "
                f"Take it out; {use} on others."
            )
