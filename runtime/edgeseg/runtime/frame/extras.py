"""What a caller may ask for beyond the mask: probabilities and regions."""

from __future__ import annotations

import numpy as np

from edgeseg.runtime.frame.postprocess import probability, score_planes
from edgeseg.runtime.frame.preprocess import Prepared
from edgeseg.runtime.frame.regions import Region, find_regions
from edgeseg.runtime.frame.row_probability import RowProbability
from edgeseg.runtime.spec.manifest import ModelSpec


def extras_of(
    mask: np.ndarray, scores: np.ndarray, spec: ModelSpec, prepared: Prepared, wanted: tuple[bool, bool]
) -> tuple[np.ndarray | None, tuple[Region, ...] | None]:
    """Return the probabilities and the regions of a frame, each None unless asked for.

    Args:
        mask: The frame's mask.
        scores: What the engine returned for it.
        spec: The model.
        prepared: The frame.
        wanted: (probability, regions).

    Raises:
        ManifestError: For probabilities of a model that returns class ids.
    """
    planes = probability(scores, spec, prepared) if wanted[0] else None
    if not wanted[1]:
        return planes, None
    if planes is not None or spec.output.kind != "scores":
        return planes, find_regions(mask, planes)
    return None, find_regions(mask, RowProbability(*score_planes(scores, spec, prepared), spec))
