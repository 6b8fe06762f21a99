"""What the steps of a run left that INT8 is made of: the one place that knows how they store it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from torch import nn

from edgeseg.compress.int8.calibrate import Ranges
from edgeseg.compress.int8.stored_ranges import StoredRanges, load_ranges
from edgeseg.export.patch import patch
from edgeseg.pipeline.int8.patient import File
from edgeseg.pipeline.plan.layout import QAT, RANGES
from edgeseg.pipeline.recipe.recipe import Recipe
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.opening.step_folder import read_spec
from edgeseg.runtime.spec.model_spec import ModelSpec
from edgeseg.runtime.text.shell import command

_READ = ("choose_final", "onnx_fp32", RANGES)


@dataclasses.dataclass(frozen=True)
class RunFiles:
    """What a run's steps left that INT8 is made of.

    Attributes:
        model: The network whose weights are quantised.
        ranges: Its activation ranges.
        source: Its FP32 ONNX file.
        spec: Description of that file.
        from_folder: Whether the ranges were taken on images of a folder, not on training images.
        tflite: Its FP32 TFLite file with its description, where the run has one.
        is_trained_for: Whether the step `student_qat` has trained it for INT8.
    """

    model: nn.Module
    ranges: Ranges
    source: Path
    spec: ModelSpec
    from_folder: bool = False
    tflite: File | None = None
    is_trained_for: bool = False


def read_steps(recipe: Recipe) -> tuple[str, ...]:
    """The steps that `read_run` reads of a recipe's run."""
    return (*_READ, *(() if recipe.quantize.qat is None else (QAT,)))


def read_run(root: Path, recipe: str, *, qat: bool = False) -> RunFiles:
    """Read the results of the steps `choose_final`, `onnx_fp32` and `ranges`; nothing is trained.

    Args:
        root: The run's folder.
        recipe: What the user called the recipe, for messages.
        qat: Whether the recipe asks for the step `student_qat`, whose network is read where it is used.

    Raises:
        ConfigError: If a step has not been run, failed, or was run for another student than the one accepted now.
        ExportError: If the FP32 file is another network's.
    """
    steps = root / "steps"
    first = f"run `{command('edgeseg', 'run', recipe, '--only', 'onnx_int8')}` first"
    remedy = f"{first}, or name the folder of its runs with --runs"
    _check_whole(steps, _READ, remedy)
    if qat:
        _check_finished(steps, QAT, remedy)
    student = _result(steps / "choose_final")["student"]
    again = command("edgeseg", "run", recipe)
    remedy = f"Run `{again}` again, so that its step ranges is made for the student accepted now."
    made_by = QAT if qat and _result(steps / QAT)["status"] == "ok" else RANGES
    return _read(steps, steps / student / "files", root / "int8_doctor", remedy, made_by)


def _check_whole(steps: Path, names: tuple[str, ...], remedy: str) -> None:
    for name in names:
        _check_finished(steps, name, remedy)
        found = _result(steps / name)
        if found.get("status", "ok") != "ok":
            raise ConfigError(f"{steps.parent}: the step {name} is {found['status']}: {found.get('reason')}")


def _check_finished(steps: Path, name: str, remedy: str) -> None:
    if not (steps / name / "done.json").is_file():
        raise ConfigError(f"{steps.parent} holds no finished step {name}; {remedy}")


def _read(steps: Path, checkpoint: Path, work: Path, remedy: str, made_by: str) -> RunFiles:
    """The files of whole steps, if they belong to one network; `work` gets patched copies."""
    stored = load_ranges(steps / made_by / "files", checkpoint, remedy)
    from_folder = _result(steps / RANGES).get("source") == "folder"
    exported, lite = steps / "onnx_fp32" / "files", steps / "tflite_fp32" / "files"
    source, tflite = exported / "model.onnx", lite / "model.tflite"
    if stored.is_prepared:  # another network is quantised: its FP32 files are patched copies
        work.mkdir(exist_ok=True)
        source = _patched(source, work, stored)
        tflite = _patched(tflite, work, stored) if tflite.is_file() else tflite
    lite_file = (tflite, read_spec(lite)) if tflite.is_file() else None
    spec, is_trained_for = read_spec(exported), made_by == QAT
    return RunFiles(stored.network, stored.ranges, source, spec, from_folder, lite_file, is_trained_for)


def _result(step: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((step / "done.json").read_text())["result"]
    return found


def _patched(source: Path, work: Path, stored: StoredRanges) -> Path:
    path = work / f"prepared_{source.name}"
    patch(source, path, stored.model, stored.network)
    return path
