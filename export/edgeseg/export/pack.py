"""Packing scored model files into a bundle: byte for byte as they were scored, the same input giving the same zip."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.export.model_card import model_card
from edgeseg.runtime.archive.layout import chunks
from edgeseg.runtime.backends import open_backend
from edgeseg.runtime.engines import ENGINES
from edgeseg.runtime.errors import ExportError
from edgeseg.runtime.files.atomic import replacing
from edgeseg.runtime.golden import encode_png
from edgeseg.runtime.opening.bundle import CARD_ENTRY, MANIFEST_ENTRY, SUMS_ENTRY, Bundle, identity, sums_text
from edgeseg.runtime.score.seen import ENTRY as SEEN_ENTRY
from edgeseg.runtime.score.seen import SeenImages
from edgeseg.runtime.segmenter import Segmenter
from edgeseg.runtime.spec.manifest import Decision, Expected, Golden, InputSpec, Manifest, ModelSpec, Variant
from edgeseg.runtime.trust.policy import ANY


@dataclass(frozen=True)
class BundleInfo:
    """What the maker of a bundle says about it; the attributes are those of `Manifest`, and `seen`.

    Attributes:
        seen: The images it was trained on, chosen by and tested on, or None where they are not known.
    """

    name: str
    bundle_version: str
    intended_use: str
    input: InputSpec
    decision: Decision = field(default_factory=Decision)
    data: tuple[Mapping[str, Any], ...] = ()
    pretrained: tuple[Mapping[str, Any], ...] = ()
    previous_bundle: str | None = None
    git_commit: str | None = None
    recipe_sha256: str | None = None
    seen: SeenImages | None = None


@dataclass(frozen=True)
class VariantSource:
    """A model file to pack.

    Attributes:
        name: Name of the variant, e.g. `onnx-int8-x86`.
        model: The file.
        spec: Its description.
        accuracy: Scores of this very file, by split.
        sha256: Hash of the file when it was scored; packing refuses another. None skips that check.
        measured: One object per `target`, e.g. `{"target": "x86-ort", "status": "ok", "total_p50_ms": 1.8}`.
        opset: ONNX operator set, if any.
        ranges: SHA-256 of the calibration ranges, if quantised.
        needs: What the processor must have; see `Variant`.
        max_differing_share: Share of pixels of a golden mask that may differ on another machine, in [0, 1].
    """

    name: str
    model: Path
    spec: ModelSpec
    accuracy: Mapping[str, Any] = field(default_factory=dict)
    sha256: str | None = None
    measured: tuple[Mapping[str, Any], ...] = ()
    opset: int | None = None
    ranges: str | None = None
    needs: tuple[str, ...] = ()
    max_differing_share: float = 0.005


def pack(path: Path, info: BundleInfo, variants: Sequence[VariantSource], golden: Sequence[np.ndarray]) -> Manifest:
    """Write a bundle.

    Every variant is run on the golden frames and its masks are stored as the expected ones. The result is read back
    before it gets its name, so a bundle that exists can be opened.

    Args:
        path: The .edgeseg file to write; replaced as a whole or not at all.
        info: What is said about it.
        variants: At least one model file.
        golden: Frames, uint8 (H, W) or (H, W, 3) RGB. Use drawn ones where the data may not be redistributed.

    Returns:
        The manifest in it.

    Raises:
        ExportError: If a model file is missing or not the one that was scored, or no golden frame is given.
        ManifestError: If variants contradict each other.
        BackendError: If a variant cannot be run here.
        FrameError: If a golden frame does not fit.
    """
    if not golden:
        raise ExportError("A bundle needs at least one golden frame, found none. Pass one or more typical frames.")
    entries: dict[str, bytes] = {}
    packed = tuple(_variant(source, entries) for source in variants)
    pairs = _golden(packed, golden, entries, {source.name: source.max_differing_share for source in variants})
    if info.seen is not None:
        entries[SEEN_ENTRY] = info.seen.to_bytes()
    manifest = Manifest(
        name=info.name,
        bundle_id="",
        bundle_version=info.bundle_version,
        previous_bundle=info.previous_bundle,
        intended_use=info.intended_use,
        edgeseg_version=_edgeseg_version(),
        git_commit=info.git_commit,
        recipe_sha256=info.recipe_sha256,
        data=info.data,
        pretrained=info.pretrained,
        input=info.input,
        classes=variants[0].spec.classes if variants else (),
        decision=info.decision,
        variants=packed,
        golden=pairs,
    )
    manifest = replace(manifest, bundle_id=identity(info.name, _to_bytes(manifest), _sums(entries)))
    entries[CARD_ENTRY] = model_card(manifest).encode()
    _write(Path(path), {MANIFEST_ENTRY: _to_bytes(manifest), **entries})
    return manifest


def _variant(source: VariantSource, entries: dict[str, bytes]) -> Variant:
    try:
        content = Path(source.model).read_bytes()
    except OSError as err:
        raise ExportError(f"Cannot read {source.model} ({err.strerror}). Run its export step again.") from err
    digest = hashlib.sha256(content).hexdigest()
    if source.sha256 is not None and digest != source.sha256:
        found = f"SHA-256 is {digest}, the scored file had {source.sha256}"
        raise ExportError(f"{source.model} changed after it was scored ({found}). Score it again, then pack.")
    # A file that several engines run is there once.
    entry = next((name for name, other in entries.items() if other == content), _entry(source))
    entries[entry] = content
    return Variant(
        name=source.name,
        file=entry,
        sha256=digest,
        bytes=len(content),
        spec=source.spec,
        accuracy=source.accuracy,
        measured=tuple(source.measured),
        opset=source.opset,
        ranges=source.ranges,
        needs=source.needs,
    )


def _entry(source: VariantSource) -> str:
    return f"variants/{source.name}{ENGINES[source.spec.backend].suffixes[0]}"


def _golden(
    variants: Sequence[Variant], frames: Sequence[np.ndarray], entries: dict[str, bytes], limits: Mapping[str, float]
) -> tuple[Golden, ...]:
    expected: list[list[Expected]] = [[] for _ in frames]
    for index, frame in enumerate(frames):
        entries[f"golden/{index:03d}.png"] = encode_png(frame)
    for variant in variants:
        # Of the bytes that go into the bundle, not of the file they came from, which may change meanwhile.
        with Segmenter(open_backend(entries[variant.file], variant.spec), variant.name) as segmenter:
            for index, frame in enumerate(frames):
                entry = f"golden/{index:03d}.{variant.name}.png"
                entries[entry] = encode_png(segmenter(frame).mask)
                expected[index].append(Expected(variant.name, entry, limits[variant.name]))
    return tuple(Golden(f"golden/{index:03d}.png", tuple(masks)) for index, masks in enumerate(expected))


def _write(path: Path, entries: Mapping[str, bytes]) -> None:
    with replacing(path) as temporary:
        with temporary.open("wb") as file:
            file.writelines(chunks({**entries, SUMS_ENTRY: sums_text(_sums(entries))}))
        Bundle.open(temporary, ANY).close()


def _sums(entries: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in entries.items()}


def _to_bytes(manifest: Manifest) -> bytes:
    try:
        return (json.dumps(manifest.to_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
    except (TypeError, ValueError) as err:
        problem = f"The manifest holds a value JSON has no word for ({err})"
        raise ExportError(f"{problem}. Write None for what is missing in accuracy, measured and data.") from err


def _edgeseg_version() -> str:
    try:
        return version("edgeseg")
    except PackageNotFoundError:
        return "unknown"
