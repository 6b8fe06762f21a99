"""TensorRT engines built on this machine: the builder's record beside each, what ties it to a machine, and their cache.

trt-int8.engine   what TensorRT opens
trt-int8.json     the builder's record: module, version, GPU, CUDA of the driver, hashes of engine and source
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path

from edgeseg.runtime.engines import ENGINES, missing
from edgeseg.runtime.errors import BackendError
from edgeseg.runtime.files.user_cache import cache_folder
from edgeseg.runtime.spec.fields import Fields, read_json_object
from edgeseg.runtime.spec.manifest import Manifest
from edgeseg.runtime.spec.model_spec import ModelSpec
from edgeseg.runtime.trt.gpu import Gpu, find_gpu

SUFFIX = ".engine"
_AGAIN = "Build it again on this machine with edgeseg build."


@dataclass(frozen=True)
class EngineRecord:
    """What an engine is tied to.

    Attributes:
        module: That built it: `tensorrt`, `tensorrt_rtx` or `tensorrt_rtx_bindings`.
        version: Of the module.
        version_compatible: Newer versions can run it.
        capability: Compute capability that was named, or None: of the GPU that was there.
        gpu: The GPU that was there; None where it was built without one.
        portable: Other GPUs can run it.
        engine_sha256: Of the engine file.
        source_sha256: Of the ONNX file it was built from.
    """

    module: str
    version: str
    version_compatible: bool
    capability: str | None
    gpu: Gpu | None
    portable: bool
    engine_sha256: str
    source_sha256: str

    @classmethod
    def read(cls, path: Path) -> EngineRecord:
        """Read the record of an engine file, `X.json` beside `X.engine`.

        Raises:
            BackendError: If it is not there.
            ManifestError: If it is no such record.
        """
        record = path.with_suffix(".json")
        try:
            content = record.read_bytes()
        except OSError as err:
            found = f"{path} has no record beside it ({record.name}: {err.strerror})"
            raise BackendError(f"{found}, so nothing says what it was built for. Copy both files. {_AGAIN}") from err
        # A record says more than is read here.
        fields = _part(read_json_object(content, str(record)), str(record))
        settings = _part(fields.raw("settings"), f"{record}: settings")
        gpu = None if fields.raw("gpu") is None else _part(fields.raw("gpu"), f"{record}: gpu")
        return cls(
            module=fields.typed("module", str),
            version=fields.typed("version", str),
            version_compatible=settings.typed("version_compatible", bool),
            capability=settings.optional("capability", str),
            gpu=None if gpu is None else Gpu(*(gpu.typed(name, str) for name in Gpu._fields)),
            portable=settings.typed("hardware", str) != "none",
            engine_sha256=_part(fields.raw("engine"), f"{record}: engine").typed("sha256", str),
            source_sha256=_part(fields.raw("source"), f"{record}: source").typed("sha256", str),
        )

    def unfit_reason(self, engine: str, version: str, here: Gpu) -> str | None:
        """What of this machine is not what it was built for, or None.

        Args:
            engine: That is to run it, by its name in `ENGINES`.
            version: Of its module that is installed.
            here: The GPU of this machine.
        """
        if self.module not in {package.module for package in ENGINES[engine].packages}:
            return f"it was built by {self.module}, which is not {engine}"
        if self.version != version and not self.version_compatible:
            return f"it was built by {self.module} {self.version}, here is {version}"
        if self.capability is not None:  # for any GPU of it, with the drivers that the builder supports
            named = self.capability == here.capability
            return None if named else f"it was built for {self.capability}, here is {here.name} ({here.capability})"
        if self.gpu is None or self.portable:
            return None
        pairs = zip(("the GPU", "compute capability", "a driver of CUDA"), self.gpu, here, strict=True)
        return next((f"it was built for {what} {was}, here is {now}" for what, was, now in pairs if was != now), None)


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
    record = EngineRecord.read(path)
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


def _part(value: object, where: str) -> Fields:
    return Fields(value, where, value if isinstance(value, dict) else ())
