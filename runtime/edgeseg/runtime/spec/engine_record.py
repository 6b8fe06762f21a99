"""What a TensorRT engine was built by and for, and what proves it: the builder's record, a file or in a manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgeseg.runtime.engines import ENGINES
from edgeseg.runtime.errors import ManifestError
from edgeseg.runtime.spec.fields import Fields
from edgeseg.runtime.trt.gpu import Gpu

PROVEN = "device"  # evidence of an engine that ran on its GPU and gave the masks it should


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
        evidence: `built`, or `PROVEN`; None of records that do not say.
        content: All that the record says, more than is read here.
    """

    module: str
    version: str
    version_compatible: bool
    capability: str | None
    gpu: Gpu | None
    portable: bool
    engine_sha256: str
    source_sha256: str
    evidence: str | None
    content: Mapping[str, Any]

    @classmethod
    def from_json(cls, value: object, where: str) -> EngineRecord:
        """Read a decoded JSON object; raises ManifestError where it is no such record."""
        fields = _part(value, where)
        settings = _part(fields.raw("settings"), f"{where}: settings")
        gpu = None if fields.raw("gpu") is None else _part(fields.raw("gpu"), f"{where}: gpu")
        return cls(
            module=fields.typed("module", str),
            version=fields.typed("version", str),
            version_compatible=settings.typed("version_compatible", bool),
            capability=settings.optional("capability", str),
            gpu=None if gpu is None else Gpu(*(gpu.typed(name, str) for name in Gpu._fields)),
            portable=settings.typed("hardware", str) != "none",
            engine_sha256=_part(fields.raw("engine"), f"{where}: engine").typed("sha256", str),
            source_sha256=_part(fields.raw("source"), f"{where}: source").typed("sha256", str),
            evidence=fields.optional("evidence", str),
            content=value,  # type: ignore[arg-type]  # an object: its fields were read
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


def check_engine(record: EngineRecord | None, backend: str, name: str, sha256: str) -> None:
    """Refuse a variant of a bundle whose engine file nothing proves.

    Args:
        record: Of the variant; None where it has none, as all that are not built for a GPU.
        backend: That runs it.
        name: Of the variant.
        sha256: Of its file.

    Raises:
        ManifestError: If an engine file has no record, was only built, or the record is of another file; or if a record
            is where no engine file is.
    """
    found = f"variant {name!r} runs in {backend}"
    if not ENGINES[backend].needs_gpu:
        if record is not None:
            raise ManifestError(f"{found}, whose files are built for no GPU, and has a record. Leave `engine` out.")
        return
    if record is None or record.evidence != PROVEN:
        was = "nothing says what its engine was built for" if record is None else f"was only {record.evidence}"
        raise ManifestError(f"{found}, and {was}. Run edgeseg prove on its board, and pack what that writes.")
    if record.engine_sha256 != sha256:
        raise ManifestError(f"{found}, but its record is of another file. Run edgeseg prove again.")


def _part(value: object, where: str) -> Fields:
    """Of an object that says more than is read here."""
    return Fields(value, where, value if isinstance(value, dict) else ())
