"""Whether images lie in masks/ and masks in images/: told by how many gray levels they have."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edgeseg.runtime.data.imagefile import decode
from edgeseg.runtime.faults import Fault, FaultError

_LOOKED_AT = 5
_PIXELS_LOOKED_AT = 1 << 16
# Classes have few values, and frames of a camera many.
_MOST_LEVELS_OF_A_MASK, _LEAST_LEVELS_OF_AN_IMAGE = 8, 32


def swapped(images: Mapping[str, Path], masks: Mapping[str, Path]) -> Fault | None:
    """Look at a few pairs.

    Args:
        images: Stem to file, as they lie in images/.
        masks: Stem to file, as they lie in masks/, also such as are not taken there.

    Returns:
        The fault, if all that can be read are the wrong way round.
    """
    stems = [stem for stem in images if stem in masks]
    votes = []
    for stem in stems[:: max(1, len(stems) // _LOOKED_AT)][:_LOOKED_AT]:
        try:
            image, mask = _levels(images[stem]), _levels(masks[stem])
        except FaultError:
            continue
        votes.append(image <= _MOST_LEVELS_OF_A_MASK and mask >= _LEAST_LEVELS_OF_AN_IMAGE)
    if not votes or not all(votes):
        return None
    message = "holds few gray levels as masks do, and masks/ many as images do"
    return Fault("images/", "folders swapped", message, "if they are swapped, rename the two folders")


def _levels(path: Path) -> int:
    pixels = decode(path)
    plane = (pixels if pixels.ndim == 2 else pixels[..., 1]).reshape(-1)  # of any depth: it is judged later
    return len(np.unique(plane[:: max(1, len(plane) // _PIXELS_LOOKED_AT)]))
