"""Export steps: a checkpoint becomes a file with its spec, checked against torch on real images.

A step that cannot export is no crash of the chain: its result says `failed` and why, and its row shows it.
"""

from __future__ import annotations

import dataclasses
import functools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgeseg.compress.int8.plan import make_plan
from edgeseg.compress.int8.stored_ranges import StoredRanges, load_ranges
from edgeseg.export.formats import FORMATS, Origin, write_float, write_quantised
from edgeseg.export.parity import parity
from edgeseg.export.patch import patch
from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.pipeline.plan.layout import CHOOSE_FINAL, MODEL_ROWS, QAT, RANGES
from edgeseg.pipeline.plan.results import Choice, Exported
from edgeseg.pipeline.plan.seed_folders import seed_folder, seed_folders
from edgeseg.pipeline.steps.data import open_data
from edgeseg.pipeline.steps.operate import decision_of
from edgeseg.runtime.data.dataset import DataSet, read_image
from edgeseg.runtime.errors import BackendError, ExportError
from edgeseg.runtime.files.atomic import write_bytes, write_json
from edgeseg.runtime.files.hashes import sha256_file
from edgeseg.runtime.opening.step_folder import model_in, read_spec
from edgeseg.runtime.spec.input_spec import Geometry, InputSpec
from edgeseg.runtime.spec.model_spec import ModelSpec
from edgeseg.train.checkpoint import load_checkpoint
from edgeseg.train.models import SegmentationNet

PARITY_FRAMES = 4
_NETWORKS = (*(row.name for row in MODEL_ROWS), QAT)

# What describes a file, and what was read back of one that is not FP32: a dataclass.
Written = tuple[ModelSpec, Any]


def input_spec(context: StepContext, data: DataSet, model: SegmentationNet) -> InputSpec:
    """The input of a network in this recipe."""
    geometry = context.section("geometry", Geometry)
    return InputSpec(data.color, geometry, int(model.stride), window=data.window)  # type: ignore[arg-type]


def _reporting(step: Callable[[StepContext], Written]) -> Callable[[StepContext], Exported]:
    """Turn an export that fails into a result with its reason, and a success into one with its parity."""

    @functools.wraps(step)
    def run(context: StepContext) -> Exported:
        failed = context.settings.get("missing") or failed_parent(context)
        if failed:
            return Exported("not measured", failed)
        try:
            written, read = step(context)
            spec = dataclasses.replace(written, decision=decision_of(context))
            found = _check(context, spec)
        except (ExportError, BackendError) as err:
            shutil.rmtree(context.folder.files)
            context.folder.files.mkdir()
            return Exported("failed", str(err))
        write_json(context.folder.files / "spec.json", spec.to_json())
        file = model_in(context.folder.files)
        return Exported(
            status="ok",
            file=file.name,
            bytes=file.stat().st_size,
            sha256=sha256_file(file),
            backend=spec.backend,
            precision=spec.precision,
            parity=dataclasses.asdict(found),
            read_back=None if read is None else dataclasses.asdict(read),
        )

    return run


def failed_parent(context: StepContext) -> str | None:
    """Why there is nothing to export, if so; a network that does not go on stands in nobody's way."""
    source = _source(context)
    for name, record in context.results.items():
        if name in _NETWORKS and name != source:
            continue
        status = record["result"].get("status", "ok")
        if status == "refused":  # its own row says why, at length
            return f"{name} is refused"
        if status != "ok":
            return f"{name} is {status}: {record['result'].get('reason')}"
    return None


def _check(context: StepContext, spec: ModelSpec) -> Any:
    data = open_data(context)
    model = stored_ranges(context).network if made_by(context) == QAT else source_model(context)
    frames = [read_image(sample.image, data.color, data.window) for sample in data.split("train")[:PARITY_FRAMES]]
    return parity(model, model_in(context.folder.files), spec, frames)


def _source(context: StepContext) -> str:
    """The step whose checkpoint is exported: named in the settings, or the student that was accepted last."""
    named = context.settings.get("of")
    return str(named) if named else context.result(CHOOSE_FINAL, Choice).student


def source_model(context: StepContext) -> SegmentationNet:
    """The network that a step exports or quantises."""
    return load_checkpoint(context.folders[_source(context)].files)[0]


@_reporting
def run_float(context: StepContext) -> Written:
    """The FP32 file of `settings.format`; `settings.free` leaves N, H and W free where the format can.

    Of a network that `settings.of` names the file of each of its trainings as well: they are compared on val.
    """
    data, name, files = open_data(context), context.setting("format"), context.folder.files

    def write(model: SegmentationNet, folder: Path) -> ModelSpec:
        free = context.settings.get("free", False)
        return write_float(
            name, model, folder / _file_name(name), input_spec(context, data, model), data.classes, free=free
        )

    if "of" in context.settings:
        for seed, checkpoint in seed_folders(context.folders[_source(context)].files).items():
            folder = seed_folder(files, seed)
            folder.mkdir()
            write_json(folder / "spec.json", write(load_checkpoint(checkpoint)[0], folder).to_json())
    return write(source_model(context), files), None


@_reporting
def run_quantised(context: StepContext) -> Written:
    """The file of `settings.format` in `settings.precision` (INT8), from the FP32 file of `settings.source`.

    Its plan is of what `made_by` names.
    """
    name = context.setting("format")
    origin = int8_origin(context, context.setting("source"), stored_ranges(context))
    path = context.folder.files / _file_name(name)
    return write_quantised(name, origin, path, context.settings.get("precision", "int8"))


@_reporting
def run_same_file(context: StepContext) -> Written:
    """The file of the step `settings.file`, byte for byte, as `settings.engine` runs it."""
    files = context.folders[context.setting("file")].files
    source = model_in(files)
    write_bytes(context.folder.files / source.name, source.read_bytes())
    return dataclasses.replace(read_spec(files), backend=context.setting("engine")), None


def _file_name(name: str) -> str:
    return f"model{FORMATS[name].suffix}"


def made_by(context: StepContext) -> str:
    """The step that says what is quantised: `settings.ranges`, or what has trained the network for it where used."""
    if "ranges" in context.settings:
        return str(context.setting("ranges"))
    trained = context.results.get(QAT)
    return RANGES if trained is None or trained["result"]["status"] != "ok" else QAT


def stored_ranges(context: StepContext) -> StoredRanges:
    """What is quantised.

    Raises:
        ConfigError: If the ranges were made for another network. No result of the step: it has to be run again.
    """
    ranges, checkpoint = context.folders[made_by(context)], context.folders[_source(context)].files
    return load_ranges(ranges.files, checkpoint, f"Remove {ranges.root}, then give the same command again.")


def int8_origin(context: StepContext, exported: str, stored: StoredRanges) -> Origin:
    """The network that is quantised, its plan, and the FP32 file that holds it.

    The shipped FP32 file is the plain network's; where another one is quantised, a patched copy takes its place.

    Args:
        context: Of a step with the parent `exported`.
        exported: Step that made the FP32 file.
        stored: What is quantised.
    """
    files = context.folders[exported].files
    source = model_in(files)
    if stored.is_prepared:
        patched = context.folder.work / source.name
        patch(source, patched, stored.model, stored.network)
        source = patched
    plan = make_plan(stored.network, stored.ranges, tuple(context.setting("float_paths")))
    return Origin(stored.network, plan, source, read_spec(files))
