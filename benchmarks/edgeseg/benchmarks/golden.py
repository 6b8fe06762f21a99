"""Frames with the masks that a bundle was accepted with, for targets that cannot run the runtime themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeseg.benchmarks.subject import Frame
from edgeseg.runtime.opening.bundle import Bundle

Mask = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class GoldenFrame:
    """One frame of a bundle.

    Attributes:
        frame: Decoded.
        masks: By variant: the accepted mask, and the largest share of its pixels that may differ, in [0, 1].
    """

    frame: Frame
    masks: Mapping[str, tuple[Mask, float]]


def golden_frames(bundle: Bundle) -> tuple[GoldenFrame, ...]:
    """All golden frames of a bundle.

    Raises:
        BundleError: One of them is no PNG.
    """
    from edgeseg.runtime.golden import decode_png

    def image(name: str) -> npt.NDArray[np.uint8]:
        pixels: npt.NDArray[np.uint8] = decode_png(bundle.read(name), name)
        return pixels

    return tuple(
        GoldenFrame(
            image(one.input), {want.variant: (image(want.mask), want.max_differing_share) for want in one.expected}
        )
        for one in bundle.manifest.golden
    )
