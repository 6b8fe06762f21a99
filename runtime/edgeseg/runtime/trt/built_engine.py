"""TensorRT engines built on this machine: the builder's record beside each, what ties it to a machine, and their cache.

trt-int8.engine   what TensorRT opens
trt-int8.json     the builder's record: module, version, GPU, CUDA of the driver, hashes of engine and source
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

from edgeseg.runtime.engines import ENGINES, missing
from edgeseg.runtime.errors import BackendError
from edgeseg.runtime.files.atomic import write_json
from edgeseg.runtime.files.user_cache import cache_folder
from edgeseg.runtime.spec.engine_record import EngineRecord
from edgeseg.runtime.spec.fields import read_json_object
from edgeseg.runtime.spec.manifest import Manifest
from edgeseg.runtime.spec.model_spec import ModelSpec
from edgeseg.runtime.trt.gpu import ABSENT, Gpu, find_gpu

SUFFIX, RECORD_SUFFIX = ".engine", ".json"
_AGAIN = "Build it again on this machine with edgeseg build."


def read_record(path: Path) -> EngineRecord:
    """Read the record of an engine file, `X.json` beside `X.engine`.

    Raises:
        BackendError: If it is not there.
        ManifestError: If it is no such record.
    """
    record = path.with_suffix(RECORD_SUFFIX)
    try:
        content = record.read_bytes()
    except OSError as err:
        found = f"{path} has no record beside it ({record.name}: {err.strerror})"
        raise BackendError(f"{found}, so nothing says what it was built for. Copy both files. {_AGAIN}") from err
    return EngineRecord.from_json(read_json_object(content, str(record)), str(record))


def write_record(path: Path, record: EngineRecord) -> Path:
    """Write a record beside an engine file that was taken out of a bundle; returns its path."""
    write_json(path.with_suffix(RECORD_SUFFIX), record.content)
    return path.with_suffix(RECORD_SUFFIX)


def unfit_here(engine: str, record: EngineRecord) -> str | None:
    """Return why an engine file is none for this machine, or None.

    Args:
        engine: That is to run it, by its name in `ENGINES`.
        record: Of the file.
    """
    from edgeseg.runtime.trt.module import import_tensorrt

    gpu = find_gpu()
    if gpu is None:
        return ABSENT
    try:
        return record.unfit_reason(engine, str(import_tensorrt(engine).__version__), gpu)
    except BackendError as err:
        return str(err)


def check_record(path: Path, content: bytes, engine: str, version: str, here: Gpu) -> None:
    """Hold an engine file against its record, and the record against this machine.

    Args:
        path: The engine file.
        content: What it holds.
        engine: That is to run it.
        version: Of its module.
        here: The GPU of this machine.

    Raises:
        BackendError: If the record is missing, another file's, or another machine's.
        ManifestError: If it is no record.
    """
    record = read_record(path)
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != record.engine_sha256:
        found = f"its SHA-256 is {sha256}, its record says {record.engine_sha256}"
        raise BackendError(f"{path} is not the engine of its record: {found}. Copy both files again. {_AGAIN}")
    reason = record.unfit_reason(engine, version, here)
    if reason is not None:
        raise BackendError(f"{path} is for another machine: {reason}. {_AGAIN}")


def engine_folder(source_sha256: str, module: str, version: str, gpu: Gpu) -> Path:
    """Where engines built on this machine are kept.

    A folder for each source file, TensorRT, GPU and driver: after an update of one of them the engines of before are
    not found any more.
    """
    name = f"{gpu.name}-{gpu.capability}-{module}-{version}-cuda-{gpu.cuda}"
    return cache_folder("engines") / source_sha256 / re.sub(r"[^A-Za-z0-9.]+", "-", name).lower()


def find_built(manifest: Manifest, name: str) -> tuple[Path, ModelSpec] | None:
    """Find an engine that was built on this machine from one of a bundle's files.

    Args:
        manifest: Of the bundle.
        name: Of the engine, as `trt-int8`.

    Returns:
        Its file, and the spec of what it was built from with the engine that runs it; None where there is none.
    """
    from edgeseg.runtime.trt.module import import_tensorrt

    for engine in ENGINES.values():
        if not engine.needs_gpu or missing(engine.name) or (gpu := find_gpu()) is None:
            continue
        module = import_tensorrt(engine.name)
        for variant in manifest.variants:
            folder = engine_folder(variant.sha256, module.__name__, module.__version__, gpu)
            if (path := folder / f"{name}{SUFFIX}").is_file():
                return path, replace(variant.spec, backend=engine.name)
    return None
