"""A foreign file that was found usable, and how."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from edgeseg.export.adopt.feeding import Feeding
from edgeseg.export.foreign.ending import Ending
from edgeseg.runtime.model_spec import ModelSpec


@dataclass(frozen=True)
class Adopted:
    """A checked foreign file.

    Attributes:
        model: The graph up to its scores for one image, every node with a name.
        whole: The graph up to the output that its user knows, for the batch that it was made for.
        ending: What stands between the two.
        input_name: Its input.
        layout: Axes of its input.
        feeding: What it eats.
        spec: Of `model` behind `with_pixels`.
        threshold: What the scores of one plane must exceed to be foreground.
        missing_axes: Axes of one that its scores lack.
        notes: What a reader should know of how it was read, one sentence each.
    """

    model: onnx.ModelProto
    whole: onnx.ModelProto
    ending: Ending
    input_name: str
    layout: str
    feeding: Feeding
    spec: ModelSpec
    threshold: float = 0.0
    missing_axes: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
