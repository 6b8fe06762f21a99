"""The recipe's section `distill`: how a student follows the teacher."""

from __future__ import annotations

from dataclasses import dataclass

from edgeseg.runtime.errors import ConfigError
from edgeseg.train.config import AugmentConfig


@dataclass(frozen=True)
class DistillSection:
    """See `edgeseg.compress.distill.distill.DistillConfig`.

    With `views` above 0 each training image is augmented in so many ways, which the epochs take in turns, and the
    teacher is asked once about each of them for all trainings; 0 draws and asks anew in every epoch.

    Each of the three weights is off at 0: `boundary_weight` of pixels near borders in the soft loss, `channel_weight`
    and `hint_weight` of terms beside it.

    `calibrate` fits how sure each of the teacher's networks sounds to val; `flips` also asks about the mirrored views
    that the augmentation shows, and averages.

    `unlabelled` names a folder of images without masks, which a relative path looks for in the data set; as many of
    them as of the labelled ones join every epoch, with the teacher's answer alone.

    `teacher` names what is followed instead of the row `teacher`: an ONNX file, found alike, or `module:function`, a
    Python function of the user's own that returns a network.
    """

    temperature: float = 2.0
    alpha: float = 0.7
    class_balanced: bool = False
    boundary_weight: float = 0.0
    channel_weight: float = 0.0
    hint_weight: float = 0.0
    views: int = 0
    calibrate: bool = False
    flips: bool = False
    unlabelled: str | None = None
    teacher: str | None = None

    def __post_init__(self) -> None:
        if self.views < 0:
            raise ConfigError(f"distill.views is {self.views}; set it to 0 or more")
        if self.unlabelled is not None and not (self.alpha or self.channel_weight or self.hint_weight):
            raise ConfigError(
                f"distill.unlabelled is {self.unlabelled!r}, but distill.alpha is 0, so that nothing is learnt from "
                "images without masks; raise distill.alpha, or leave distill.unlabelled out"
            )
        if self.hint_weight and (self.views or self.flips or self.teacher is not None):
            wrong = f"distill.views is {self.views}" if self.views else "distill.flips is true"
            wrong = wrong if self.teacher is None else f"distill.teacher is {self.teacher!r}"
            raise ConfigError(
                f"distill.hint_weight is {self.hint_weight}, but {wrong}: hints need the features of one "
                "network, of the very view, and only answers are stored and averaged; set one of them back"
            )

    def of_itself(self) -> DistillSection:
        """How a network follows its own float answer: what concerns the teacher and how it is asked is left out."""
        return DistillSection(
            self.temperature, self.alpha, self.class_balanced, self.boundary_weight, self.channel_weight
        )

    def check(self, seeds: int, devices: int, augment: AugmentConfig) -> None:
        """Refuse what does not go with the sections `teacher` and `train`.

        Args:
            seeds: Networks of the teacher.
            devices: Processes of a training.
            augment: What training images are changed by.

        Raises:
            ConfigError: With both values.
        """
        if self.views and devices > 1:
            raise ConfigError(
                f"distill.views is {self.views}, but train.devices is {devices}; stored views are for one device: set "
                "one of them back"
            )
        if self.teacher is not None and seeds > 1:
            raise ConfigError(
                f"distill.teacher is {self.teacher!r}, so that nobody follows the {seeds} networks of teacher.seeds; "
                "set teacher.seeds to 1, or leave distill.teacher out"
            )
        if self.hint_weight and seeds > 1:
            raise ConfigError(
                f"distill.hint_weight is {self.hint_weight}, but teacher.seeds is {seeds}: hints need the features of "
                "one network; set one of them back"
            )
        if self.flips and not (augment.flip_horizontal or augment.flip_vertical):
            raise ConfigError(
                "distill.flips is true, but train.augment.flip_horizontal and flip_vertical are false, so that no "
                "mirrored view is right; allow one of them, or leave distill.flips out"
            )
