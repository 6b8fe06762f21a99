"""The recipe's `decision`, `export` and `quantize` sections: which files are exported, and what is chosen for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgeseg.runtime.errors import ConfigError

# Variants that a recipe has to ask for; those that it need not name are always made.
Also = Literal["onnx-fp16", "tflite-fp16", "tflite-dynamic", "tflite-int16x8"]


@dataclass(frozen=True)
class DecisionSection:
    """From which probability on a pixel is foreground, for recipes with `binary_output`; see docs/measuring.md.

    Attributes:
        objective: The threshold is chosen on val: `dice` for the best Dice, `region_recall` for the best Dice among
            those that find as many regions as the teacher, less `gates.max_region_recall_drop`. None takes 0.5.
    """

    objective: Literal["dice", "region_recall"] | None = None


@dataclass(frozen=True)
class ExportSection:
    """Which files are made of the student beside those that always are.

    Attributes:
        also: Variants by their name in the bundle; docs/quantization.md says what each is for.
    """

    also: tuple[Also, ...] = ()


@dataclass(frozen=True)
class RangesSection:
    """The part of `quantize` that activation ranges depend on, beside the images themselves.

    Attributes:
        images: Training images to calibrate on, at least 8; a seeded, class-balanced draw.
        method: How ranges are derived.
        network: Which network is quantised: the plain one, or one of the same function with other tensors.
    """

    images: int = 64
    method: Literal["minmax", "moving_average", "percentile", "entropy", "mse"] = "minmax"
    network: Literal["plain", "corrected", "equalized", "equalized+corrected"] = "plain"

    def __post_init__(self) -> None:
        if self.images < 8:
            raise ConfigError(f"quantize.images is {self.images}; calibration needs at least 8 images")


@dataclass(frozen=True)
class QatSection:
    """Quantisation-aware training: the network rounds while it learns; see docs/quantization.md.

    Attributes:
        target: Whose INT8 file it rounds like. The files for other targets are made of the same weights.
        epochs: Passes over train.
        learning_rate: Peak of the schedule.
    """

    target: Literal["x86-ort", "x86-litert", "arm64-ort"] = "x86-ort"
    epochs: int = 8
    learning_rate: float = 1e-4

    def __post_init__(self) -> None:
        for name in ("epochs", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ConfigError(
                    f"quantize.qat.{name} is {getattr(self, name)}, but must be above 0; without the section qat "
                    "nothing is trained"
                )


@dataclass(frozen=True)
class QuantizeSection(RangesSection):
    """How the network is quantised; see `RangesSection` and docs/quantization.md.

    Attributes:
        folder: Folder of images to calibrate on instead, without masks; relative to the data set, or absolute. Images
            of another modality than the training images are refused.
        float_paths: Module paths that stay in floating point, as `edgeseg doctor int8` names them.
        qat: How the network is trained on while it rounds; None leaves it as it is.
    """

    folder: str | None = None
    float_paths: tuple[str, ...] = ()
    qat: QatSection | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.folder is not None and not self.folder.strip():
            raise ConfigError("quantize.folder is empty; name a folder of images, or leave it out")

    def of_ranges(self) -> RangesSection:
        """Without what says where the images lie, and which layers a file keeps in floating point."""
        return RangesSection(self.images, self.method, self.network)
