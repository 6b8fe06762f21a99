"""The recipe's `student` section: which member of the family it is, and how it is trained."""

from __future__ import annotations

from dataclasses import dataclass

from edgeseg.pipeline.recipe.start import IMAGENET, NONE
from edgeseg.runtime.errors import ConfigError
from edgeseg.train.pretrained.published import nearest_published

# Kept in step with `edgeseg.train.models.efficient_unet`, which imports torch; a test compares the two.
OUTPUT_STRIDES = (2, 4, 8)


@dataclass(frozen=True)
class StudentSection:
    """The EfficientUNet, and how both of its trainings (alone and distilled) run.

    Attributes:
        init: What all its trainings start from: `imagenet` (published weights, cut to the width), `none` (from
            scratch), or the folder of a checkpoint or a safetensors file.
        width: Multiplier of channels.
        depth: Multiplier of the encoder's repeated blocks.
        stages: Of the encoder.
        output_stride: Input pixels per logit along each side, 2, 4 or 8. Coarser is faster, and loses small things.
        decoder_width: Multiplier of the decoder's channels; left out it is `width`.
        epochs: Of each training.
        learning_rate: Peak of the schedule.
        seeds: Trainings of each, all of which decide; the best on val goes on.
    """

    init: str = NONE
    width: float = 0.75
    depth: float = 1.0
    stages: int = 7
    output_stride: int = 2
    decoder_width: float | None = None
    epochs: int = 60
    learning_rate: float = 3e-3
    seeds: int = 1

    def __post_init__(self) -> None:
        if self.init == IMAGENET:
            nearest_published(self.width, self.depth)
        if self.output_stride not in OUTPUT_STRIDES:
            raise ConfigError(f"student.output_stride is {self.output_stride}; set it to 2, 4 or 8")
        if 2 ** (self.stages - 1) < self.output_stride:  # the stem halves it, and stages 2 to 4
            least = self.output_stride.bit_length()
            raise ConfigError(
                f"student.output_stride is {self.output_stride}, but of student.stages {self.stages} no decoder would "
                f"be left; set the stages to {least} or more, or the stride lower"
            )
