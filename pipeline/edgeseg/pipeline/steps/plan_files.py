"""The step `plan_files`: the files that no engine here runs natively, and whether all files of the plan agree.

It writes the symmetric s8 Q/DQ ONNX file for Arm and TensorRT and the text calibration cache for old TensorRT, reads
every file of the plan back, and holds the masks of those that ONNX Runtime and LiteRT run against each other on val.
Neither file is packed yet: their rows need a device. `fp32.onnx` beside the cache is the float file that it is for,
which is not the shipped one where equalized or corrected tensors are quantised:

    trtexec --onnx=fp32.onnx --int8 --calib=calibration.cache --shapes=image:1xHxWxC
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from edgeseg.compress.int8.plan import Plan
from edgeseg.export.mask_agreement import MAX_DICE, MAX_PIXELS, Masks, compare_pairs, masks_of
from edgeseg.export.onnx.placement import s8_tensorrt
from edgeseg.export.onnx.qdq import write_int8_onnx
from edgeseg.export.onnx.read_back import check_int8_onnx
from edgeseg.export.read_back import ReadBack
from edgeseg.export.spec_file import model_file, read_spec
from edgeseg.export.tflite.read_back import check_int8_tflite
from edgeseg.export.trt.cache import check_trt_cache, write_trt_cache
from edgeseg.pipeline.chain.chain import StepContext
from edgeseg.pipeline.steps.data import open_data
from edgeseg.pipeline.steps.export import quantised
from edgeseg.runtime.atomic import write_bytes, write_json
from edgeseg.runtime.errors import BackendError, ExportError
from edgeseg.runtime.hashes import sha256_file
from edgeseg.runtime.model_spec import ModelSpec

S8, CACHE, CACHE_SOURCE = "int8_s8.onnx", "calibration.cache", "fp32.onnx"
UNVERIFIED = "unverified on TensorRT hardware"

Result = dict[str, Any]
# A network, its plan, the FP32 file that holds it and that file's description.
Origin = tuple[nn.Module, Plan, Path, ModelSpec]


def run_plan_files(context: StepContext) -> Result:
    """Write the two files, read all four back, compare masks. A file that fails is an entry with its reason."""
    entries = {
        "onnx-int8-x86": _shipped(context, "onnx_int8", "onnx_fp32", check_int8_onnx),
        "onnx-int8": _written(context, S8, _write_s8),
        "tflite-int8": _shipped(context, "tflite_int8", "tflite_fp32", check_int8_tflite),
        "trt-cache": _written(context, CACHE, _write_cache),
    }
    models = {
        "onnx-int8-x86": context.folders["onnx_int8"].files,
        "onnx-int8": context.folder.files,
        "tflite-int8": context.folders["tflite_int8"].files,
    }
    found, scored = _masks(context, entries, models)
    for name, masks in found.items():
        entries[name]["val_dice"] = masks.dice if isinstance(masks, Masks) else None
    return {
        "files": entries,
        "pairs": compare_pairs(found),
        "limits": {"pixels_differ": MAX_PIXELS, "dice_difference": MAX_DICE},
        "scored_on": scored,
    }


def _shipped(context: StepContext, step: str, exported: str, check: Callable[..., ReadBack]) -> Result:
    """A file that the chain has written already."""
    record = context.results[step]["result"]
    if record["status"] != "ok":
        return _entry(record["status"], record["reason"])
    files = context.folders[step].files
    try:
        read = check(*_origin(context, exported), model_file(files))
    except ExportError as err:
        return _entry("failed", str(err))
    return _entry("ok", None, model_file(files), read)


def _written(context: StepContext, name: str, write: Callable[[Origin, Path], ReadBack]) -> Result:
    """A file of this step; both come from the FP32 ONNX file."""
    path, exported = context.folder.files / name, context.results["onnx_fp32"]["result"]
    if exported["status"] != "ok":
        reason = f"onnx_fp32 is {exported['status']}: {exported['reason']}"
        return _entry("not measured", reason) | {"evidence": UNVERIFIED}
    try:
        read = write(_origin(context, "onnx_fp32"), path)
    except ExportError as err:
        path.unlink(missing_ok=True)
        return _entry("failed", str(err)) | {"evidence": UNVERIFIED}
    return _entry("ok", None, path, read) | {"evidence": UNVERIFIED}


def _origin(context: StepContext, exported: str) -> Origin:
    return (*quantised(context, exported), read_spec(context.folders[exported].files))


def _write_s8(origin: Origin, path: Path) -> ReadBack:
    written = write_int8_onnx(*origin, path, s8_tensorrt())
    read = check_int8_onnx(*origin, path, s8_tensorrt())
    write_json(path.parent / "spec.json", written.to_json())
    return read


def _write_cache(origin: Origin, path: Path) -> ReadBack:
    write_trt_cache(*origin, path)
    read = check_trt_cache(*origin, path)
    write_bytes(path.parent / CACHE_SOURCE, origin[2].read_bytes())
    return read


def _entry(status: str, reason: str | None, path: Path | None = None, read: ReadBack | None = None) -> Result:
    return {
        "status": status,
        "reason": reason,
        "file": path and path.name,
        "bytes": path and path.stat().st_size,
        "sha256": path and sha256_file(path),
        "read_back": read and dataclasses.asdict(read),
        "val_dice": None,
        "evidence": None,
    }


def _masks(
    context: StepContext, entries: dict[str, Result], models: dict[str, Path]
) -> tuple[dict[str, Masks | str], Result]:
    """Masks of each file that runs here, or why there are none, and what they were scored on."""
    data = open_data(context)
    # All of val, not the part that candidates are chosen on: on few images a tenth of a point is one small region.
    samples = data.split("val")
    found: dict[str, Masks | str] = {}
    for number, (name, files) in enumerate(models.items()):
        context.progress(number / len(models), f"masks of {name}")
        entry = entries[name]
        if entry["status"] != "ok":
            found[name] = f"{entry['status']}: {entry['reason']}"
            continue
        try:
            found[name] = masks_of(files / entry["file"], read_spec(files), data, samples)
        except BackendError as err:
            found[name] = f"does not run here: {err}"
    return found, {"split": "val", "n_images": len(samples)}
