"""The recipe's section `teacher`: which network it is, and how it is trained."""

from __future__ import annotations

from dataclasses import dataclass

from edgeseg.pipeline.recipe.start import NONE
from edgeseg.runtime.errors import ConfigError
from edgeseg.train.pretrained.published import PUBLISHED

_LITE_STRIDE = 32  # of a network with a Lite encoder [px]


@dataclass(frozen=True)
class TeacherSection:
    """A U-Net: with an `encoder` of published weights (`lite0`, `lite1`, `lite2`) and a full decoder, or with none of
    them plain: `base` channels at full resolution, `depth` levels.

    `batch_size` left out is that of the train section. A U-Net from scratch on few images wants many small steps.
    With `seeds` above 1 so many are trained, from as many initial weights and in as many orders, and a student follows
    their averaged answer; the row `teacher` is the first of them.
    """

    encoder: str = NONE
    base: int = 32
    depth: int = 5
    upsampling: str = "transposed"
    epochs: int = 60
    learning_rate: float = 2e-3
    batch_size: int | None = None
    seeds: int = 1

    def __post_init__(self) -> None:
        if self.batch_size is not None and self.batch_size < 1:
            raise ConfigError(f"teacher.batch_size is {self.batch_size}; set it to 1 or more, or leave it out")
        if self.encoder not in (NONE, *PUBLISHED):
            raise ConfigError(f"teacher.encoder is {self.encoder!r}; use {NONE}, {', '.join(PUBLISHED)}")

    @property
    def stride(self) -> int:
        """Height and width of its input must be multiples of it [px]."""
        return 2 ** (self.depth - 1) if self.encoder == NONE else _LITE_STRIDE

    @property
    def named_by(self) -> str:
        """The setting that decides on the stride."""
        return f"teacher.depth {self.depth}" if self.encoder == NONE else f"teacher.encoder {self.encoder}"
