"""What a training run is told: data geometry, augmentation, loss, optimiser, budget."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgeseg.runtime.errors import ConfigError


def _positive(name: str, value: float) -> None:
    if value <= 0:
        raise ConfigError(f"{name} is {value}, but must be greater than 0; set it to a positive number")


def _share(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ConfigError(f"{name} is {value}, but is a share; set it between 0 and 1")


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes of a training image; every `p_*` is a probability in [0, 1].

    Attributes:
        flip_horizontal: Mirror left-right half of the time.
        flip_vertical: Mirror top-bottom half of the time; wrong for ultrasound, where depth runs downwards.
        rotate_deg: Largest rotation to either side [degrees].
        scale: Largest relative change of size, 0.2 means 0.8 to 1.2.
        p_affine: Probability of rotation and scale together.
        p_elastic: Probability of a smooth random deformation.
        p_grid: Probability of a grid distortion.
        p_gamma: Probability of a gamma between 0.7 and 1.5.
        p_noise: Probability of Gaussian noise, standard deviation up to 0.05 of full scale.
        p_blur: Probability of a Gaussian blur, sigma 0.25 to 1.5 px.
    """

    flip_horizontal: bool = True
    flip_vertical: bool = True
    rotate_deg: float = 15.0
    scale: float = 0.2
    p_affine: float = 0.7
    p_elastic: float = 0.2
    p_grid: float = 0.2
    p_gamma: float = 0.4
    p_noise: float = 0.2
    p_blur: float = 0.15

    def __post_init__(self) -> None:
        for name in ("p_affine", "p_elastic", "p_grid", "p_gamma", "p_noise", "p_blur"):
            _share(f"augment.{name}", getattr(self, name))
        if not 0.0 <= self.scale < 1.0:
            raise ConfigError(f"augment.scale is {self.scale}; set it between 0 and 1 (1 excluded)")
        if not 0.0 <= self.rotate_deg <= 180.0:
            raise ConfigError(f"augment.rotate_deg is {self.rotate_deg}; set it between 0 and 180 degrees")


@dataclass(frozen=True)
class LossConfig:
    """Which terms the supervised loss sums.

    Attributes:
        terms: Names of `losses.TERMS` joined by `+`, such as `ce+dice`; `bce` for one-output networks.
        class_weights: One weight a class for the pixel-wise terms, or empty for equal weights.
    """

    terms: str = "ce+dice"
    class_weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for index, weight in enumerate(self.class_weights):
            _positive(f"loss.class_weights[{index}]", weight)


@dataclass(frozen=True)
class TrainConfig:
    """The budget and the optimiser of one training.

    Attributes:
        epochs: Passes over the training split, or over `samples_per_epoch` draws.
        batch_size: Images a step and process.
        learning_rate: Peak of the schedule (AdamW).
        weight_decay: Of AdamW.
        schedule: `onecycle` or `cosine`.
        precision: `float32` or `bfloat16` (autocast, float32 weights).
        samples_per_epoch: Draws an epoch; 0 means every training image once.
        validate_every: Epochs between two looks at val, at most; see `look_every`.
        patience: Looks at val without a better Dice (median of the last three) before stopping early; 0 never stops.
        ema: Share of the steps so far over which weights are averaged; the average is what is looked at on val and
            kept (`averaged.decay_at`). 0 averages nothing.
        seed: Of weights, order and augmentation.
        threads: CPU threads of torch; part of a run's identity, since sums differ between thread counts.
        workers: Loader processes.
        devices: Processes (GPUs, or CPU processes under DDP).
    """

    epochs: int = 60
    batch_size: int = 8
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    schedule: str = "onecycle"
    precision: str = "float32"
    samples_per_epoch: int = 0
    validate_every: int = 2
    patience: int = 0
    ema: float = 0.05
    seed: int = 0
    threads: int = 2
    workers: int = 1
    devices: int = 1
    loss: LossConfig = field(default_factory=LossConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate", "validate_every", "threads", "devices"):
            _positive(f"train.{name}", getattr(self, name))
        for name in ("weight_decay", "samples_per_epoch", "patience", "workers"):
            if getattr(self, name) < 0:
                raise ConfigError(f"train.{name} is {getattr(self, name)}; set it to 0 or more")
        _share("train.ema", self.ema)
        if self.schedule not in ("onecycle", "cosine"):
            raise ConfigError(f"train.schedule is {self.schedule!r}; use onecycle or cosine")
        if self.precision not in ("float32", "bfloat16"):
            raise ConfigError(f"train.precision is {self.precision!r}; use float32 or bfloat16")

    @property
    def look_every(self) -> int:
        """Epochs between two looks at val: so many that the last epoch, at the lowest rate, is looked at as well."""
        return max(n for n in range(1, min(self.validate_every, self.epochs) + 1) if self.epochs % n == 0)
