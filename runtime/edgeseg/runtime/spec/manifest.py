"""The manifest of a bundle: what is in it, where it comes from and what was measured. Import every spec from here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edgeseg.runtime.archive.layout import ENTRY_NAME
from edgeseg.runtime.engines import FEATURES
from edgeseg.runtime.errors import ManifestError
from edgeseg.runtime.spec.engine_record import EngineRecord, check_engine
from edgeseg.runtime.spec.fields import Fields, nearest, one_of, read_json_object, show, text
from edgeseg.runtime.spec.input_spec import Color, Geometry, InputSpec, Interpolation
from edgeseg.runtime.spec.model_spec import Decision, ModelSpec, OutputSpec, check_classes

__all__ = [
    "SCHEMA_VERSION",
    "Color",
    "Decision",
    "Expected",
    "Geometry",
    "Golden",
    "InputSpec",
    "Interpolation",
    "Manifest",
    "ModelSpec",
    "OutputSpec",
    "Variant",
]

SCHEMA_VERSION = 1
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
# Bundles packed before manifests said `needs`: their u8s8 file for x86 always had this name.
_NEEDS_BEFORE = {"onnx-int8-x86": ("vnni",)}
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Variant:
    """One model file of a bundle.

    Attributes:
        name: E.g. `onnx-int8-x86`; unique in the bundle.
        file: Its entry in the bundle.
        sha256: Hash of the file, hex.
        bytes: Size of the file [bytes].
        spec: How to run it.
        accuracy: Scores of this very file, as `metrics.summarize` gives them, by split. Empty if never scored.
        measured: Latencies and the like, one object per `target`; see `selection`.
        opset: ONNX operator set, or None for other formats.
        ranges: SHA-256 of the calibration ranges of a quantised file, or None.
        needs: What the processor must have for its masks to be those it was accepted for; see `engines.FEATURES`.
        engine: Of an engine that was built for one kind of GPU: what it is tied to, and what proves it.
    """

    name: str
    file: str
    sha256: str
    bytes: int
    spec: ModelSpec
    accuracy: Mapping[str, Any]
    measured: tuple[Mapping[str, Any], ...] = ()
    opset: int | None = None
    ranges: str | None = None
    needs: tuple[str, ...] = ()
    engine: EngineRecord | None = None

    def __post_init__(self) -> None:
        _matches(self.name, _NAME, "variant.name", "letters, digits, '.', '_' and '-'")
        _matches(self.file, ENTRY_NAME, "variant.file", "a relative path inside the bundle")
        _matches(self.sha256, _SHA256, "variant.sha256", "64 hex digits")
        if self.bytes < 1:
            raise ManifestError(f"variant.bytes must be at least 1, found {self.bytes}. Pack the bundle again.")
        for need in self.needs:
            one_of(need, tuple(FEATURES), "variant.needs")
        check_engine(self.engine, self.spec.backend, self.name, self.sha256)

    @classmethod
    def from_json(cls, value: object, where: str) -> Variant:
        """Read a decoded JSON object; raises ManifestError where it is not what is documented."""
        fields = Fields(value, where, cls.__dataclass_fields__)
        name = fields.typed("name", str)
        return cls(
            name=name,
            file=fields.typed("file", str),
            sha256=fields.typed("sha256", str),
            bytes=fields.typed("bytes", int),
            spec=ModelSpec.from_json(fields.raw("spec"), f"{where}.spec"),
            accuracy=_object(fields.raw("accuracy"), f"{where}.accuracy"),
            measured=fields.sequence("measured", _measured),
            opset=fields.optional("opset", int),
            ranges=fields.optional("ranges", str),
            needs=fields.sequence("needs", text) if fields.has("needs") else _NEEDS_BEFORE.get(name, ()),
            engine=EngineRecord.from_json(fields.raw("engine"), f"{where}.engine") if fields.has("engine") else None,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that `from_json` reads back."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        engine = plain.pop("engine")  # only where there is one: what read bundles before goes on reading the others
        return (plain if engine is None else plain | {"engine": dict(engine.content)}) | {
            "spec": self.spec.to_json(),
            "accuracy": dict(self.accuracy),
            "measured": [dict(row) for row in self.measured],
            "needs": list(self.needs),
        }


@dataclass(frozen=True)
class Expected:
    """The mask a variant must make of a golden input.

    Attributes:
        variant: Name of the variant.
        mask: Entry of the mask, a PNG of class ids.
        max_differing_share: Largest share of pixels that may differ, in [0, 1]: engines round differently.
    """

    variant: str
    mask: str
    max_differing_share: float

    def __post_init__(self) -> None:
        _matches(self.mask, ENTRY_NAME, "golden.expected.mask", "a relative path inside the bundle")
        if not 0.0 <= self.max_differing_share <= 1.0:
            found = f"max_differing_share must lie in [0, 1], found {self.max_differing_share}"
            raise ManifestError(f"golden.expected: {found}. Pack the bundle again.")

    @classmethod
    def from_json(cls, value: object, where: str) -> Expected:
        """Read a decoded JSON object; raises ManifestError where it is not what is documented."""
        fields = Fields(value, where, cls.__dataclass_fields__)
        share = fields.typed("max_differing_share", float)
        return cls(fields.typed("variant", str), fields.typed("mask", str), share)


@dataclass(frozen=True)
class Golden:
    """One golden input and what is expected of it.

    Attributes:
        input: Entry of the frame, a PNG, gray or RGB.
        expected: One mask per variant.
    """

    input: str
    expected: tuple[Expected, ...]

    def __post_init__(self) -> None:
        _matches(self.input, ENTRY_NAME, "golden.input", "a relative path inside the bundle")

    @classmethod
    def from_json(cls, value: object, where: str) -> Golden:
        """Read a decoded JSON object; raises ManifestError where it is not what is documented."""
        fields = Fields(value, where, cls.__dataclass_fields__)
        return cls(fields.typed("input", str), fields.sequence("expected", Expected.from_json))


@dataclass(frozen=True)
class Manifest:
    """Everything `manifest.json` says.

    Attributes:
        name: What the bundle is called.
        bundle_id: Identity of this very content.
        bundle_version: Version its maker gives it.
        previous_bundle: `bundle_id` of the bundle it replaces, or None.
        intended_use: What it is for, and what not.
        edgeseg_version: Version that packed it.
        git_commit: Commit of the recipe's repository, or None.
        recipe_sha256: Hash of the recipe, or None.
        data: The data sets: `name`, `content_sha256`, `split_sha256`, `n_images`, `n_groups`, `licence`.
        pretrained: The weights that trainings started from: `of` (teacher, student), `name`, `sha256`, `licence`,
            `trained_on`, `source`.
        input: Frame geometry and colour of the recipe; a variant of fixed size may narrow the geometry.
        classes: Names by class id, background first; the same in every variant.
        decision: Thresholds of the shipped variant.
        variants: The model files, at least one.
        golden: Inputs with the expected masks.
        schema_version: Version of this format.
    """

    name: str
    bundle_id: str
    bundle_version: str
    previous_bundle: str | None
    intended_use: str
    edgeseg_version: str
    git_commit: str | None
    recipe_sha256: str | None
    data: tuple[Mapping[str, Any], ...]
    input: InputSpec
    classes: tuple[str, ...]
    decision: Decision
    variants: tuple[Variant, ...]
    golden: tuple[Golden, ...]
    schema_version: int = SCHEMA_VERSION
    pretrained: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        check_classes(self.classes)
        if not self.variants:
            raise ManifestError("manifest.variants is empty: a bundle needs a model file. Pack it again.")
        names = [variant.name for variant in self.variants]
        if len(set(names)) != len(names):
            raise ManifestError(f"manifest.variants: names must differ, found {names}. Rename one.")
        for variant in self.variants:
            own, its = self.input, variant.spec.input
            if variant.spec.classes != self.classes or (its.color, its.window) != (own.color, own.window):
                found = f"variant {variant.name!r} has other classes, another colour or window than the manifest"
                raise ManifestError(f"manifest: {found}. Pack only variants of one model.")
        for expected in (one for golden in self.golden for one in golden.expected):
            if expected.variant not in names:
                found = f"a mask is expected of {expected.variant!r}, which is no variant"
                raise ManifestError(f"manifest.golden: {found}. {nearest(expected.variant, names)}")

    @classmethod
    def from_json(cls, value: object, where: str = "manifest") -> Manifest:
        """Read a decoded JSON object.

        Raises:
            ManifestError: If it is of another schema version, a key is unknown, a type wrong or the values
                contradict each other.
        """
        _check_version(value, where)
        fields = Fields(value, where, cls.__dataclass_fields__)
        return cls(
            name=fields.typed("name", str),
            bundle_id=fields.typed("bundle_id", str),
            bundle_version=fields.typed("bundle_version", str),
            previous_bundle=fields.optional("previous_bundle", str),
            intended_use=fields.typed("intended_use", str),
            edgeseg_version=fields.typed("edgeseg_version", str),
            git_commit=fields.optional("git_commit", str),
            recipe_sha256=fields.optional("recipe_sha256", str),
            data=fields.sequence("data", _object),
            input=InputSpec.from_json(fields.raw("input"), f"{where}.input"),
            classes=fields.sequence("classes", text),
            decision=Decision.from_json(fields.raw("decision"), f"{where}.decision"),
            variants=fields.sequence("variants", Variant.from_json),
            golden=fields.sequence("golden", Golden.from_json),
            pretrained=fields.sequence("pretrained", _object) if fields.has("pretrained") else (),
        )

    @classmethod
    def from_bytes(cls, content: bytes) -> Manifest:
        """Read the content of `manifest.json`; raises ManifestError as `from_json` does."""
        return cls.from_json(read_json_object(content, "manifest.json"))

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that `from_json` reads back."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain = {"schema_version": plain.pop("schema_version")} | plain
        return plain | {
            "data": [dict(row) for row in self.data],
            "pretrained": [dict(row) for row in self.pretrained],
            "input": self.input.to_json(),
            "classes": list(self.classes),
            "decision": asdict(self.decision),
            "variants": [variant.to_json() for variant in self.variants],
            "golden": [
                asdict(golden) | {"expected": [asdict(one) for one in golden.expected]} for golden in self.golden
            ],
        }


def _check_version(value: object, where: str) -> None:
    # Before anything else: another version may have other keys, and "unknown key" would send the user astray.
    version = value.get("schema_version") if isinstance(value, Mapping) else None
    if type(version) is not int or version != SCHEMA_VERSION:
        newer = type(version) is int and version > SCHEMA_VERSION
        remedy = "A newer edgeseg packed it: install that one" if newer else "Pack it again"
        found = f"{where}.schema_version is {show(version)}, this edgeseg reads {SCHEMA_VERSION}"
        raise ManifestError(f"{found}. {remedy}.")


def _matches(value: str, pattern: re.Pattern[str], where: str, expected: str) -> None:
    if not pattern.fullmatch(value):
        raise ManifestError(f"{where}: expected {expected}, found {show(value)}. Pack the bundle again.")


def _object(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ManifestError(f"{where}: expected a JSON object, found {show(value)}. Write it as {{...}}.")
    return value


def _measured(value: object, where: str) -> Mapping[str, Any]:
    row = _object(value, where)
    # Benchmarks may add what they like; only what `selection` reads has a fixed form.
    fields = Fields(row, where, row.keys())
    fields.typed("target", str)
    fields.default("status", str, "ok")
    fields.optional("total_p50_ms", float)
    return row
