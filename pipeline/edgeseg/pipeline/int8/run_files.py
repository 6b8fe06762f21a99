"""What the steps of a run, or of a fit, left that INT8 is made of: the one place that knows how they store it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from torch import nn

from edgeseg.compress.int8.calibrate import Ranges
from edgeseg.compress.int8.stored_ranges import StoredRanges, load_ranges
from edgeseg.export.patch import patch_onnx, patch_tflite
from edgeseg.export.spec_file import read_spec
from edgeseg.pipeline.int8.patient import File
from edgeseg.runtime.errors import ConfigError
from edgeseg.runtime.model_spec import ModelSpec
from edgeseg.runtime.text.shell import command
from edgeseg.runtime.text.textfile import read_text


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
        notes: What a reader has to know about where they come from, one sentence each.
        section: Of the recipe, whose `float_paths` are those of this network.
    """

    model: nn.Module
    ranges: Ranges
    source: Path
    spec: ModelSpec
    from_folder: bool = False
    tflite: File | None = None
    notes: tuple[str, ...] = ()
    section: Literal["quantize", "fit"] = "quantize"


def read_run(root: Path, recipe: str) -> RunFiles:
    """Read the results of the steps `choose_final`, `onnx_fp32` and `ranges`; nothing is trained.

    Args:
        root: The run's folder.
        recipe: What the user called the recipe, for messages.

    Raises:
        ConfigError: If a step has not been run, failed, or was run for another student than the one accepted now.
        ExportError: If the FP32 file is another network's.
    """
    steps = root / "steps"
    first = f"run `{command('edgeseg', 'run', recipe, '--only', 'onnx_int8')}` first"
    remedy = f"{first}, or name the folder of its runs with --runs"
    _check_whole(steps, ("choose_final", "onnx_fp32", "ranges"), remedy)
    student = _result(steps / "choose_final")["student"]
    again = command("edgeseg", "run", recipe)
    remedy = f"Run `{again}` again, so that its step ranges is made for the student accepted now."
    return _read(steps, steps / student / "files", root / "int8_doctor", remedy)


def read_fit(folder: Path, recipe: str) -> RunFiles:
    """Read the network that a fit ships: the results of the steps `network`, `onnx_fp32` and `ranges` of its export.

    Args:
        folder: The fit's folder, with fit.json.
        recipe: What the user called the recipe, for messages.

    Raises:
        ConfigError: If there is no fit of this recipe that ships, or its steps are not whole or not of one network.
        ExportError: If the FP32 file is another network's.
    """
    path = folder / "fit.json"
    again = f"run `{command('edgeseg', 'fit', recipe)}` with the target and budget of that folder"
    if not path.is_file():
        named = f"name the folder of a fit such as runs/{recipe}/fit/x86-ort/latency_ms-2"
        raise ConfigError(f"--fit {folder} holds no finished fit: {path.name} is missing; {named}, or {again}")
    record = json.loads(read_text(path))
    if record["recipe"]["name"] != recipe:
        raise ConfigError(f"--fit {folder} is of the recipe {record['recipe']['name']}, not of {recipe}; name that one")
    if record["status"] != "ok":
        raise ConfigError(f"--fit {folder}: nothing ships from it ({record['status']}); give `edgeseg fit` more budget")
    steps = folder / "shipped" / "steps"
    _check_whole(steps, ("network", "onnx_fp32", "ranges"), again)
    found = _read(steps, steps / "network" / "files", folder / "int8_doctor", f"R{again[1:]} again.")
    return dataclasses.replace(
        found, notes=("Examined is what the fit ships, not the student of the run.",), section="fit"
    )


def _check_whole(steps: Path, names: tuple[str, ...], remedy: str) -> None:
    for name in names:
        if not (steps / name / "done.json").is_file():
            raise ConfigError(f"{steps.parent} holds no finished step {name}; {remedy}")
        found = _result(steps / name)
        if found.get("status", "ok") != "ok":
            raise ConfigError(f"{steps.parent}: the step {name} is {found['status']}: {found.get('reason')}")


def _read(steps: Path, checkpoint: Path, work: Path, remedy: str) -> RunFiles:
    """The files of whole steps, if they belong to one network; `work` gets patched copies."""
    stored = load_ranges(steps / "ranges" / "files", checkpoint, remedy)
    from_folder = _result(steps / "ranges").get("source") == "folder"
    exported, lite = steps / "onnx_fp32" / "files", steps / "tflite_fp32" / "files"
    source, tflite = exported / "model.onnx", lite / "model.tflite"
    if stored.is_prepared:  # an equalized or corrected network is quantised: its FP32 files are patched copies
        work.mkdir(exist_ok=True)
        source = _patched(patch_onnx, source, work, stored)
        tflite = _patched(patch_tflite, tflite, work, stored) if tflite.is_file() else tflite
    lite_file = (tflite, read_spec(lite)) if tflite.is_file() else None
    return RunFiles(stored.network, stored.ranges, source, read_spec(exported), from_folder, lite_file)


def _result(step: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((step / "done.json").read_text())["result"]
    return found


def _patched(
    patch: Callable[[Path, Path, nn.Module, nn.Module], None], source: Path, work: Path, stored: StoredRanges
) -> Path:
    path = work / f"prepared_{source.name}"
    patch(source, path, stored.model, stored.network)
    return path
