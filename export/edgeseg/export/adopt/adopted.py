"""A foreign ONNX file that was found usable, and how."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx

from edgeseg.export.adopt.feeding import Feeding
from edgeseg.export.adopt.scores import Foreign, Scores, notes_of
from edgeseg.export.foreign.ending import Ending
from edgeseg.runtime.spec.model_spec import ModelSpec


@dataclass(frozen=True)
class Adopted:
    """A checked foreign file.

    Attributes:
        model: The graph up to its scores for one image, every node with a name.
        whole: The graph up to the output that its user knows, for the batch that it was made for.
        foreign: How it was looked at.
        scores: What was found.
        spec: Of `model` behind `with_pixels`.
        masks: Those of a few images, int64 (h, w) as the file itself makes them.
    """

    model: onnx.ModelProto
    whole: onnx.ModelProto
    foreign: Foreign
    scores: Scores
    spec: ModelSpec
    masks: tuple[np.ndarray, ...] = field(repr=False)

    @property
    def input_name(self) -> str:
        """Its input."""
        return self.foreign.entry.name

    @property
    def layout(self) -> str:
        """Axes of its input."""
        return self.foreign.entry.layout

    @property
    def feeding(self) -> Feeding:
        """What it eats."""
        return self.foreign.feeding

    @property
    def ending(self) -> Ending:
        """What stands behind its scores."""
        return self.scores.ending

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know of how it was read, one sentence each."""
        return notes_of(self.foreign, self.scores)
