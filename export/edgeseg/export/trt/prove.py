"""From an engine that was only built to one that is proven, and a variant of a new bundle: on the board it is for.

The engine is run here on the golden frames, its masks are held against those expected of the file it was built from,
and its layers are asked for the precision that they really have. What it is tied to stays with it.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edgeseg.export.pack import seal
from edgeseg.export.trt.build import SOURCES
from edgeseg.export.trt.modules import TensorRt
from edgeseg.export.trt.realised import check_int8, inspect_engine
from edgeseg.runtime.backends import open_backend
from edgeseg.runtime.engines import ENGINES
from edgeseg.runtime.errors import BackendError, ConfigError, ExportError, GateError
from edgeseg.runtime.golden import LEAST_OVERLAP, decode_png, encode_png, is_lost, overlap
from edgeseg.runtime.opening.bundle import CARD_ENTRY, MANIFEST_ENTRY, SUMS_ENTRY, Bundle
from edgeseg.runtime.segmenter import Segmenter
from edgeseg.runtime.spec.engine_record import PROVEN, EngineRecord
from edgeseg.runtime.spec.manifest import Expected, Golden, Manifest, ModelSpec, Variant
from edgeseg.runtime.trt.built_engine import SUFFIX, find_built, read_record
from edgeseg.runtime.trt.gpu import ABSENT, Gpu, find_gpu
from edgeseg.runtime.trt.module import import_tensorrt

# Most pixels of the golden masks that may differ from those of the file it was built from, by precision.
_MOST_DIFFERING = {"fp32": 0.0001, "fp16": 0.001, "int8": 0.01}
_MAX_DIFFERING_SHARE = 0.005  # of its own masks, from one board of a kind to the next


@dataclass(frozen=True)
class ProveOrder:
    """What is to be proven.

    Attributes:
        variant: As it was built: of `build.SOURCES`.
        out: The new bundle.
        bundle_version: Of the new bundle.
        engine: The file, its record beside it; None for the one that was built on this machine.
        name: Of the new variant; None for the built one's with the GPU's.
    """

    variant: str
    out: Path
    bundle_version: str
    engine: Path | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if self.variant not in SOURCES:
            raise ConfigError(f"--variant {self.variant} is none of {', '.join(SOURCES)}")

    def name_on(self, gpu: Gpu) -> str:
        """What the variant is called that was proven on this GPU."""
        return self.name or f"{self.variant}-{re.sub('[^a-z0-9]+', '-', gpu.name.lower()).strip('-')}"


class Proven(NamedTuple):
    """The new bundle's manifest, and the variant that was added."""

    manifest: Manifest
    variant: Variant


class _Engine(NamedTuple):
    content: bytes
    record: EngineRecord
    spec: ModelSpec
    source: Variant


def prove_engine(path: Path, order: ProveOrder) -> Proven:
    """Run an engine on its board, and write a new bundle with it; the old one stays as it is, and its signatures.

    Args:
        path: The bundle it was built from.
        order: What is to be proven.

    Raises:
        ConfigError: If no such engine is here, or the new bundle would replace the old one or have two of a name.
        BackendError: If no GPU is here, or the engine is not for it.
        GateError: If its masks differ by more than its precision explains.
        ExportError: If it was built from no file of this bundle, or computes in float what the file has in INT8.
    """
    gpu = find_gpu()
    if gpu is None:
        raise BackendError(
            f"An engine is proven by running it, and {ABSENT}. Copy the engine, its record beside it and the bundle to "
            "the board it is for, and run edgeseg prove there."
        )
    if order.out.resolve() == path.resolve():
        raise ConfigError(f"--out {order.out} is the bundle itself, which never changes; name another file")
    with Bundle.open(path) as bundle:
        name = order.name_on(gpu)
        if name in {one.name for one in bundle.variants}:
            raise ConfigError(f"{path} has a variant {name} already; give the new one another --name")
        file = order.engine or _built_here(bundle, order)
        engine = _read(bundle, order, file)
        masks = _masks(bundle, file, engine)
        proof = {"gpu": gpu._asdict(), "golden": _golden_proof(bundle, engine, masks), **_layers(bundle, engine)}
        record = EngineRecord.from_json(dict(engine.record.content) | {"evidence": PROVEN, "proof": proof}, str(file))
        variant = Variant(
            name=name,
            file=f"variants/{name}{SUFFIX}",
            sha256=record.engine_sha256,
            bytes=len(engine.content),
            spec=engine.spec,
            accuracy={},
            engine=record,
        )
        made_anew = (MANIFEST_ENTRY, SUMS_ENTRY, CARD_ENTRY)
        entries = {one: bundle.read(one) for one in bundle.sums if one not in made_anew}
        return Proven(
            _packed(bundle.manifest, order, variant, entries | {variant.file: engine.content}, masks), variant
        )


def _built_here(bundle: Bundle, order: ProveOrder) -> Path:
    built = find_built(bundle.manifest, order.variant)
    if built is None:
        raise ConfigError(
            f"no {order.variant} was built on this machine from a file of {bundle.path}. Run edgeseg build "
            f"{bundle.path} --variant {order.variant}, or name the file with --engine"
        )
    return built[0]


def _read(bundle: Bundle, order: ProveOrder, file: Path) -> _Engine:
    try:
        content = file.read_bytes()
    except OSError as err:
        raise ConfigError(f"--engine {file} cannot be read ({err.strerror}); name an engine of edgeseg build") from err
    record = read_record(file)
    if record.content.get("variant") != order.variant:
        raise ConfigError(f"{file} is {record.content.get('variant')}, as its record says, not {order.variant}")
    source = next((one for one in bundle.variants if one.sha256 == record.source_sha256), None)
    if source is None:
        raise ExportError(
            f"{file} was built from a file of SHA-256 {record.source_sha256}, which {bundle.path} does not have. "
            "Build it again from this bundle"
        )
    names = [one.name for one in ENGINES.values() if record.module in {package.module for package in one.packages}]
    if not names:
        raise BackendError(f"{file} was built by {record.module}, which this edgeseg does not know. Build it again.")
    precision: Any = order.variant.removeprefix("trt-")
    return _Engine(content, record, replace(source.spec, backend=names[0], precision=precision), source)


def _masks(bundle: Bundle, file: Path, engine: _Engine) -> list[np.ndarray]:
    """Its masks of the golden frames. Opening the file holds it against its record, and that against this machine."""
    with Segmenter(open_backend(file, engine.spec), file.name) as segmenter:
        return [segmenter(decode_png(bundle.read(one.input), one.input)).mask for one in bundle.manifest.golden]


def _golden_proof(bundle: Bundle, engine: _Engine, masks: list[np.ndarray]) -> dict[str, Any]:
    differing = pixels = frames = 0
    lost = False
    for golden, mask in zip(bundle.manifest.golden, masks, strict=True):
        for one in golden.expected:
            if one.variant == engine.source.name:
                expected = decode_png(bundle.read(one.mask), one.mask)
                differing += int(np.count_nonzero(mask != expected))
                lost = lost or is_lost(overlap(mask, expected))
                pixels, frames = pixels + mask.size, frames + 1
    if not pixels:
        raise ExportError(f"{bundle.path} has no golden frame for {engine.source.name}: nothing can be proven by it")
    share, most = differing / pixels, _MOST_DIFFERING[engine.spec.precision]
    if share > most:
        raise GateError(
            f"the engine's masks of {frames} golden frames differ from those of {engine.source.name} in {share:.4%} of "
            f"the pixels; {most:.2%} are allowed of {engine.spec.precision}. It is not packed"
        )
    if lost:
        raise GateError(
            f"of what the engine or {engine.source.name} marks on a golden frame, less than {LEAST_OVERLAP:.0%} is "
            "marked by both. It is not packed"
        )
    return {"against": engine.source.name, "frames": frames, "differing_share": share, "most": most}


def _layers(bundle: Bundle, engine: _Engine) -> dict[str, Any]:
    """Layers by the precision they really have; a silent fallback to float is an error."""
    layers = inspect_engine(TensorRt(import_tensorrt(engine.spec.backend)), engine.content)
    found = Counter(layer.precision for layer in layers)
    unknown: tuple[str, ...] = ()
    if engine.spec.precision == "int8":
        unknown = check_int8(layers, bundle.read(engine.source.file))
        if not found["int8"]:
            raise ExportError("no layer of the engine is computed in INT8. It is not packed; ship trt-fp16 on this GPU")
    return {"layers": dict(found), "int8_unknown": list(unknown)}


def _packed(
    old: Manifest, order: ProveOrder, variant: Variant, entries: dict[str, bytes], masks: list[np.ndarray]
) -> Manifest:
    golden = []
    for one, mask in zip(old.golden, masks, strict=True):
        entry = one.input.removesuffix(".png") + f".{variant.name}.png"
        entries[entry] = encode_png(mask)
        golden.append(Golden(one.input, (*one.expected, Expected(variant.name, entry, _MAX_DIFFERING_SHARE))))
    manifest = replace(
        old,
        bundle_version=order.bundle_version,
        previous_bundle=old.bundle_id,
        variants=(*old.variants, variant),
        golden=tuple(golden),
    )
    return seal(order.out, manifest, entries)
