"""The target of a search with the recipe's images: what is timed, and how networks are scored on val, always here."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeseg.compress.calibration.folder import recipe_folder
from edgeseg.compress.calibration.images import calibration_tensors, draw_images
from edgeseg.compress.search.budget import Budget
from edgeseg.export.score_file import score_file
from edgeseg.pipeline.recipe.recipe import Recipe
from edgeseg.pipeline.target.local import LocalProbe, brief
from edgeseg.pipeline.target.machine import Machine, ThisMachine
from edgeseg.pipeline.target.yardstick import Timed, Yardstick
from edgeseg.runtime.data.dataset import DataSet, read_image
from edgeseg.runtime.errors import BackendError, ConfigError, ExportError
from edgeseg.runtime.frame.preprocess import prepare
from edgeseg.runtime.score.image_score import ImageScore
from edgeseg.runtime.spec.input_spec import InputSpec
from edgeseg.train.models import SegmentationNet


@dataclass(frozen=True)
class LocalTarget:
    """A machine with the recipe's images.

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
        """The same machine for FP32 files, such as the reference's."""
        return dataclasses.replace(self.probe, precision="fp32")


def local_target(
    recipe: Recipe,
    data: DataSet,
    budget: Budget,
    stride_px: int,
    scratch: Path,
    machine: Machine = ThisMachine(),  # noqa: B008  frozen
) -> LocalTarget:
    """Set a machine up as a target; refuse what no training can help.

    Args:
        recipe: Geometry, calibration and bench settings are read.
        data: The run's data set.
        budget: Names the target, and whether its clock is asked.
        stride_px: A multiple of every candidate's stride; 1 where the networks that set it are not there yet.
        scratch: Folder for files that are scored.
        machine: Who measures.

    Raises:
        ConfigError: For frames without a fixed size, for tiles where a machine times one call of an engine, or a
            calibration folder that cannot be used.
        DataError: If a calibration image cannot be read, or is of another modality.
        MeasureError: If the machine is not that target.
    """
    if recipe.geometry.mode == "native":
        raise ConfigError("geometry.mode is native, but a search needs frames of one size; use resize or tile")
    if recipe.geometry.mode == "tile" and budget.is_timed and machine.engine_alone:
        raise ConfigError(
            "geometry.mode is tile, and the tool that measures on this target times one tile, not a frame, so that no "
            "budget of a frame can be held there: use resize, or a device behind ssh://, which runs whole frames"
        )
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
        network=recipe.quantize.network,
        threads=recipe.bench.threads,
        harness=brief(recipe.bench.threads),
        machine=machine,
    )
    return LocalTarget(probe, data, scratch, drawn.folder_sha256)


def reference_ms(target: LocalTarget, reference: SegmentationNet) -> float:
    """p50 of the FP32 reference's whole pipeline [ms], to know before any training that there is one.

    Raises:
        ConfigError: If it cannot be exported or run on this target.
    """
    (known,) = _timed(target, {"reference": (target.fp32, reference)})
    assert known.measurement.total_ms is not None, "else it was refused"
    if known.beside is None:
        raise _not_timed(["reference"], "it gives no samples that could be held against others")
    return known.measurement.total_ms


def reference_and_student_ms(
    target: LocalTarget, reference: SegmentationNet, student: SegmentationNet
) -> dict[str, float]:
    """The FP32 reference and the student as it would ship, timed in turns: what a speed-up starts from.

    Returns:
        `reference_ms`, p50 of the whole pipeline, and `student_ms`, that much times the student's share of it.

    Raises:
        ConfigError: If either cannot be exported or run on this target.
    """
    pair = {"reference": (target.fp32, reference), "student": (target.probe, student)}
    known, found = _timed(target, pair)
    total_ms = known.measurement.total_ms
    assert total_ms is not None and found.beside is not None, "else they were refused"
    return {"reference_ms": total_ms, "student_ms": total_ms * found.beside}


def _timed(target: LocalTarget, networks: Mapping[str, tuple[LocalProbe, SegmentationNet]]) -> list[Timed]:
    """Networks timed in turns, each at the precision of its probe."""
    with tempfile.TemporaryDirectory(prefix="edgeseg-pair-") as folder:
        try:
            subjects = [probe.export(model, Path(folder) / name) for name, (probe, model) in networks.items()]
        except (ExportError, BackendError) as err:
            raise _not_timed(networks, str(err)) from err
        found = target.probe.time(subjects)
    reasons = [str(one.measurement.reason) for one in found if one.measurement.total_ms is None]
    if reasons:
        raise _not_timed(networks, "; ".join(reasons))
    return found


def _not_timed(names: Iterable[str], reason: str) -> ConfigError:
    return ConfigError(f"{' and '.join(names)} cannot be measured on this target ({reason}); give latency_ms instead")


def beside_student(target: LocalTarget, student: SegmentationNet, student_ms: float) -> LocalTarget:
    """The target with candidates timed in turns with the student, as if it always took `student_ms`."""
    probe = dataclasses.replace(target.probe, yardstick=Yardstick(student, student_ms))
    return dataclasses.replace(target, probe=probe)
