"""From a bundle's ONNX variant to an engine in a folder, with a record of what it is and what is known of it.

trt-int8.sm86.engine     parsed and compiled by a real TensorRT compiler, never run: the evidence level `built`
trt-int8.sm86.json       module, version, capability, GPU, hashes, sizes, seconds, layers
timing.cache             kernels timed so far, of `tensorrt` alone
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from edgeseg.export.trt.cache import CACHE_SOURCE, read_trt_cache
from edgeseg.export.trt.classic import calibrator_base, for_tensorrt_8
from edgeseg.export.trt.compile import CompileConfig, Compiled, compile_engine
from edgeseg.export.trt.modules import TensorRt, find_tensorrt
from edgeseg.export.trt.profile import Profile, Size, profile_for
from edgeseg.export.trt.realised import check_int8, inspect_engine
from edgeseg.export.trt.same_network import same_network
from edgeseg.export.trt.trtexec import VERSIONS, trtexec_command
from edgeseg.runtime.errors import ConfigError, EdgesegError, ExportError
from edgeseg.runtime.files.atomic import write_bytes, write_json, write_text
from edgeseg.runtime.golden import decode_png
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.spec.manifest import Variant
from edgeseg.runtime.trt.built_engine import SUFFIX, engine_folder
from edgeseg.runtime.trt.gpu import ABSENT, Gpu, find_gpu

SOURCES = {"trt-int8": "onnx-int8", "trt-fp16": "onnx-fp16", "trt-fp32": "onnx-fp32"}  # variants they are built from
TIMINGS = "timing.cache"
_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class BuildOrder:
    """What is to be built.

    Attributes:
        variant: Of `SOURCES`.
        out: Folder for it; None for where the runtime looks for engines of this machine's GPU.
        sizes: Height and width [px]: none for the geometry's, one, or smallest, usual and largest.
        calibration: A run's `calibration.cache`, for `trt-int8` from the float file beside it; TensorRT 8 to 10.
        trtexec: Write the files and the command for this version of TensorRT instead of building here.
        config: How it is built.
    """

    variant: str
    out: Path | None
    sizes: tuple[Size, ...] = ()
    calibration: Path | None = None
    trtexec: str | None = None
    config: CompileConfig = field(default_factory=CompileConfig)

    def __post_init__(self) -> None:
        if self.variant not in SOURCES:
            raise ConfigError(f"--variant {self.variant} is none of {', '.join(SOURCES)}")
        if self.trtexec is not None and self.trtexec not in VERSIONS:
            raise ConfigError(f"--trtexec {self.trtexec} is none of {', '.join(VERSIONS)}")
        if self.calibration is not None and self.variant != "trt-int8":
            raise ConfigError(f"--calibration is for trt-int8, not for {self.variant}")

    @property
    def stem(self) -> str:
        """Name of its files without their suffix."""
        return self.variant if self.config.capability is None else f"{self.variant}.{self.config.capability}"

    @property
    def folder(self) -> Path:
        """Where it is written, once that is settled."""
        assert self.out is not None
        return self.out

    @property
    def record(self) -> Path:
        """The record's file."""
        return self.folder / f"{self.stem}.json"


@dataclass(frozen=True)
class _Source:
    variant: Variant
    content: bytes
    profile: Profile

    def to_json(self) -> dict[str, Any]:
        sha256 = hashlib.sha256(self.content).hexdigest()
        return {"variant": self.variant.name, "sha256": sha256, "is_the_bundles": sha256 == self.variant.sha256}


class Built(NamedTuple):
    """The record of what was built, as written, and the folder it lies in."""

    record: dict[str, Any]
    folder: Path


def build_engine(path: Path, order: BuildOrder) -> Built:
    """Build an engine of a bundle, and write it with its record; or write what a device builds it from.

    Args:
        path: The bundle.
        order: What is to be built.

    Raises:
        EdgesegError: If the bundle lacks the variant, nothing here can build it, no engine comes of it, or the folder
            cannot be written.
    """
    with Bundle.open(path) as bundle:
        source, about = _source(bundle, order), {"name": bundle.manifest.name, "id": bundle.manifest.bundle_id}
    order = order if order.out is not None else replace(order, out=_built_here(order, source))
    _check_folder(order)
    head = {"schema_version": _SCHEMA_VERSION, "variant": order.variant, "bundle": about, "source": source.to_json()}
    head |= {"spec": source.variant.spec.to_json(), "profile": source.profile.to_json()}
    made = _for_trtexec(order, source) if order.trtexec else _compiled(order, source)
    record = head | {"settings": asdict(order.config)} | made
    write_json(order.record, record)
    return Built(record, order.folder)


def _built_here(order: BuildOrder, source: _Source) -> Path:
    gpu = find_gpu()
    if gpu is None or order.config.capability is not None or order.trtexec is not None:
        other = ABSENT if gpu is None else "this one is for another machine"
        raise ConfigError(
            "--out DIR is needed: without it an engine goes where the runtime looks for those of its own GPU, and "
            f"{other}"
        )
    trt = find_tensorrt(for_capability=False)
    return engine_folder(source.variant.sha256, trt.name, trt.version, gpu)


def _compiled(order: BuildOrder, source: _Source) -> dict[str, Any]:
    trt = find_tensorrt(for_capability=order.config.capability is not None)
    cache = None
    if order.calibration is not None:
        calibrator_base(trt)  # a cache for a version without them has no text either
        # With this builder's own version: it would ignore another's without a word.
        cache = replace(read_trt_cache(order.calibration), tensorrt=trt.numbers).to_text()
    timings = order.folder / TIMINGS
    known = timings.read_bytes() if timings.is_file() else b""
    compiled = compile_engine(trt, source.content, source.profile, order.config, cache, known)
    gpu = find_gpu()
    realised = _realised(trt, compiled, order, source, gpu)
    if compiled.timings is not None:
        write_bytes(timings, compiled.timings)
    engine = order.folder / f"{order.stem}{SUFFIX}"
    write_bytes(engine, compiled.plan)
    return {
        "evidence": "built",
        "engine": {
            "file": engine.name,
            "sha256": hashlib.sha256(compiled.plan).hexdigest(),
            "bytes": len(compiled.plan),
        },
        "module": trt.name,
        "version": trt.version,
        "gpu": None if gpu is None else gpu._asdict(),
        "seconds": round(compiled.seconds, 3),
        "layers": compiled.layers,
        "realised": realised,
    }


def _realised(trt: TensorRt, compiled: Compiled, order: BuildOrder, source: _Source, gpu: Gpu | None) -> dict[str, Any]:
    """Layers by precision, or why nothing is known of them."""
    if gpu is None:
        return {"layers": None, "reason": "an engine can only be opened beside a GPU, and none is here"}
    if order.config.capability not in (None, gpu.capability):
        return {"layers": None, "reason": f"it is for {order.config.capability}, here is {gpu.capability}"}
    layers = inspect_engine(trt, compiled.plan)
    unknown = check_int8(layers, source.content) if source.variant.spec.precision == "int8" else ()
    return {"layers": dict(Counter(layer.precision for layer in layers)), "int8_unknown": list(unknown)}


def _for_trtexec(order: BuildOrder, source: _Source) -> dict[str, Any]:
    assert order.trtexec is not None
    cache = None
    if order.calibration is not None:
        cache = f"{order.stem}.calibration"
        written = replace(read_trt_cache(order.calibration), tensorrt=VERSIONS[order.trtexec])
    precision = order.variant.removeprefix("trt-")
    words = trtexec_command(order.trtexec, order.stem, precision, source.profile, order.config, cache)  # type: ignore[arg-type]
    if cache is not None:
        write_text(order.folder / cache, written.to_text())
    write_bytes(order.folder / f"{order.stem}.onnx", for_tensorrt_8(source.content))
    return {
        "evidence": None,
        "evidence_reason": f"TensorRT {order.trtexec} was not run: the command builds the engine on the device",
        "input_dtype": "float32",
        "trtexec": {"version": order.trtexec, "command": list(words)},
    }


def _source(bundle: Bundle, order: BuildOrder) -> _Source:
    name = "onnx-fp32" if order.calibration is not None else SOURCES[order.variant]
    have = [variant.name for variant in bundle.variants]
    if name not in have:
        raise ConfigError(
            f"{bundle.path}: {order.variant} is built from the variant {name}, which this bundle does not have; it has "
            f"{', '.join(have)}"
        )
    variant = bundle.variant(name)
    frames = [decode_png(bundle.read(one.input), one.input).shape[:2] for one in bundle.manifest.golden]
    profile = profile_for(variant.spec, order.sizes, [(height, width) for height, width, *_ in frames])
    return _Source(variant, _content(bundle, variant, order), profile)


def _content(bundle: Bundle, variant: Variant, order: BuildOrder) -> bytes:
    if order.calibration is None:
        return bundle.read(variant.file)
    # Its names are those of the file it was written for, which is not the bundle's where tensors were equalized.
    source = order.calibration.with_name(CACHE_SOURCE)
    try:
        content = source.read_bytes()
    except OSError as err:
        raise ExportError(
            f"{order.calibration} is for the file {CACHE_SOURCE} beside it, which cannot be read ({err.strerror}). "
            "Give the cache in its run's folder, steps/onnx_s8/files."
        ) from err
    # The INT8 file is of the network that was trained for INT8, if one was; the float file is not.
    files = [one.file for one in bundle.variants if one.name in (variant.name, SOURCES[order.variant])]
    if not any(same_network(content, bundle.read(one), str(source)) for one in files):
        raise ExportError(
            f"{source} is another network than that of {bundle.path}: its kernels differ. Give the cache of the run "
            "that made the bundle, steps/onnx_s8/files/calibration.cache"
        )
    return content


def _check_folder(order: BuildOrder) -> None:
    """Before minutes of building."""
    try:
        order.folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise EdgesegError(f"Cannot make the folder {order.folder} ({err.strerror}): choose another --out") from err
    if not os.access(order.folder, os.W_OK | os.X_OK):
        raise EdgesegError(f"No permission to write into {order.folder}: change its rights, or choose another --out")
    made = [order.folder / f"{order.stem}{suffix}" for suffix in (SUFFIX, ".onnx")]
    for path in made:
        if path.exists() and not order.record.exists():
            raise ConfigError(f"{path} was not written by edgeseg and would be replaced; choose another --out")
