"""Images without masks, of which the teacher's answer is all that is known; a student learns from that alone.

Reference:
    Beyer et al. 2021, arXiv:2106.05237, section 3 (the teacher's function is what is learnt, on any image); Xie et al.
    2020, arXiv:1911.04252 (unlabelled images, augmented, beside labelled ones in every batch).
"""

from __future__ import annotations

import numpy as np

from edgeseg.compress.calibration.folder import unlabelled_folder
from edgeseg.compress.calibration.held_out import HeldOut
from edgeseg.runtime.data.dataset import DataSet, read_image
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.frame.intensity import apply_window
from edgeseg.runtime.frame.preprocess import resize
from edgeseg.runtime.spec.input_spec import Geometry
from edgeseg.train.datamodule import UNLABELLED


def read_unlabelled(data: DataSet, given: str | None, sha256: str | None, geometry: Geometry) -> tuple[np.ndarray, ...]:
    """Decode the images as training reads its own.

    Args:
        data: The run's data set: colour, window, and the images that must not be learnt from.
        given: The folder, or None for none.
        sha256: What its identity was when the run began.
        geometry: Of the network.

    Returns:
        uint8 (H, W, C) each, resized where the geometry resizes.

    Raises:
        ConfigError: If the folder cannot be used, its images have changed, one shows the same pixels as an image of val
            or test, however it is coded, or the data set has too many classes.
        DataError: If a file cannot be read.
    """
    folder = unlabelled_folder(data, given)
    if folder is None:
        return ()
    where = f"{folder.named_by} is {folder.path}"
    if folder.sha256 != sha256:
        raise ConfigError(f"{where}: its images have changed since this run began; give the command again")
    if len(data.classes) > UNLABELLED:
        raise ConfigError(f"{where}, but {data.root} has {len(data.classes)} classes; at most {UNLABELLED} go with it")
    held_out = HeldOut(data)
    frames = []
    for path in folder.images:
        image = read_image(path, data.color, data.window)
        held_out.refuse(folder, path, image, "train")
        image = apply_window(image, data.window)
        if geometry.mode == "resize":
            image = resize(image, int(geometry.height_px or 0), int(geometry.width_px or 0), geometry.interpolation)
        frames.append(image if image.ndim == 3 else image[:, :, None])
    return tuple(frames)
