"""This machine as the target of a search: what is timed, with which images, and how networks are scored on val."""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path

from edgeseg.compress.calibration.folder import recipe_folder
from edgeseg.compress.calibration.images import calibration_tensors, draw_images
from edgeseg.compress.search.budget import Budget
from edgeseg.export.score_file import score_file
from edgeseg.pipeline.recipe.recipe import Recipe
from edgeseg.pipeline.target.local import LocalProbe, brief
from edgeseg.pipeline.target.yardstick import NO_ENERGY, Yardstick
from edgeseg.runtime.data.dataset import DataSet, read_image
from edgeseg.runtime.errors import BackendError, ConfigError, ExportError
from edgeseg.runtime.frame.preprocess import prepare
from edgeseg.runtime.input_spec import InputSpec
from edgeseg.runtime.score.image_score import ImageScore
from edgeseg.train.models import SegmentationNet


@dataclass(frozen=True)
class LocalTarget:
    """This machine with the recipe's images.

    Attributes:
        probe: At the precision that ships.
        data: The run's data set.
        scratch: Folder for files that are scored.
        calibration_sha256: Identity of the images in `quantize.folder`, where the recipe names one.
    """

    probe: LocalProbe
    data: DataSet
    scratch: Path
    calibration_sha256: str | None = None

    def score(self, name: str, model: SegmentationNet, split: str = "val") -> list[ImageScore]:
        """Score the file that would ship, through the Segmenter."""
        folder, data = self.scratch / name, self.data
        subject = self.probe.export(model, folder)
        try:
            return score_file(subject.model, subject.spec, data, data.split(split))
        finally:
            for path in folder.iterdir():  # a finalist's file is written again when it ships
                path.unlink()

    @property
    def calls(self) -> int:
        """How often the engine runs for the frame that is timed: once, or once a tile."""
        return len(prepare(self.probe.frame, self.probe.input_spec).tensor)

    @property
    def fp32(self) -> LocalProbe:
        """The same machine for FP32 files, such as the teacher's."""
        return dataclasses.replace(self.probe, precision="fp32")


def check_target(recipe: Recipe, data: DataSet, budget: Budget, scratch: Path) -> LocalTarget:
    """Refuse what no training can help: frames of any size, another machine, a limit nobody meters, too few images.

    Args:
        recipe: As of `local_target`.
        data: The run's data set.
        budget: On a target of this machine.
        scratch: As of `local_target`.

    Returns:
        The target for networks of any stride: those that set it are not there yet.

    Raises:
        ConfigError: For the recipe, the budget, or a calibration folder that cannot be used.
        DataError: If a calibration image cannot be read, or is of another modality.
        MeasureError: If this machine is not that target.
    """
    if budget.energy_mj is not None:
        raise ConfigError(f"energy_mj cannot be held on {budget.target}: {NO_ENERGY}; set latency_ms instead")
    return local_target(recipe, data, budget, 1, scratch)


def local_target(recipe: Recipe, data: DataSet, budget: Budget, stride_px: int, scratch: Path) -> LocalTarget:
    """Set this machine up as a target.

    Args:
        recipe: Geometry, calibration and bench settings are read.
        data: The run's data set.
        budget: Names the target, and whether its clock is asked.
        stride_px: A multiple of every candidate's stride.
        scratch: Folder for files that are scored.

    Raises:
        ConfigError: For frames without a fixed size, or a calibration folder that cannot be used.
        DataError: If a calibration image cannot be read, or is of another modality.
        MeasureError: If this machine is not that target.
    """
    if recipe.geometry.mode == "native":
        raise ConfigError("geometry.mode is native, but a search needs frames of one size; use resize or tile")
    spec = InputSpec(data.color, recipe.geometry, stride_px, window=data.window)
    folder = recipe_folder(data, recipe.quantize.folder)
    drawn = draw_images(data, folder, recipe.quantize.images, recipe.train.seed, spec)
    probe = LocalProbe(
        target=budget.target,
        timed=budget.is_timed,
        input_spec=spec,
        classes=tuple(data.classes),
        frame=read_image(min(data.split("test"), key=lambda one: one.stem).image, data.color, data.window),
        calibration=tuple(calibration_tensors(data, drawn.images, spec)),
        method=recipe.quantize.method,
        threads=recipe.bench.threads,
        harness=brief(recipe.bench.threads),
    )
    return LocalTarget(probe, data, scratch, drawn.folder_sha256)


def reference_and_student_ms(
    target: LocalTarget, teacher: SegmentationNet, student: SegmentationNet
) -> dict[str, float]:
    """The FP32 teacher and the student as it would ship, timed in turns: what a speed-up starts from.

    Returns:
        `reference_ms`, p50 of the whole pipeline, and `student_ms`, that much times the student's share of it.

    Raises:
        ConfigError: If either cannot be exported or run on this target.
    """
    names = ("teacher", "student")
    with tempfile.TemporaryDirectory(prefix="edgeseg-pair-") as folder:
        try:
            subjects = [
                probe.export(model, Path(folder) / name)
                for name, probe, model in zip(names, (target.fp32, target.probe), (teacher, student), strict=True)
            ]
        except (ExportError, BackendError) as err:
            raise _no_pair(str(err)) from err
        known, found = target.probe.time(subjects)
    reference_ms = known.measurement.total_ms
    if reference_ms is None or found.beside is None:
        reasons = (one.measurement.reason for one in (known, found) if one.measurement.total_ms is None)
        raise _no_pair("; ".join(map(str, reasons)))
    return {"reference_ms": reference_ms, "student_ms": reference_ms * found.beside}


def _no_pair(reason: str) -> ConfigError:
    return ConfigError(f"teacher and student cannot be measured on this target ({reason}); give latency_ms instead")


def beside_student(target: LocalTarget, student: SegmentationNet, student_ms: float) -> LocalTarget:
    """The target with candidates timed in turns with the student, as if it always took `student_ms`."""
    probe = dataclasses.replace(target.probe, yardstick=Yardstick(student, student_ms))
    return dataclasses.replace(target, probe=probe)
