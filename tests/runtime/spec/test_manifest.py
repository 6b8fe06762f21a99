"""Specs and manifests: what is written is read back equal, and what is wrong is refused with the key and a way out."""

from __future__ import annotations

import copy
import dataclasses
import json
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.runtime.engines import ENGINES, FEATURES
from edgeseg.runtime.errors import ManifestError
from edgeseg.runtime.spec.engine_record import EngineRecord
from edgeseg.runtime.spec.manifest import (
    Decision,
    Expected,
    Geometry,
    Golden,
    InputSpec,
    Manifest,
    ModelSpec,
    OutputSpec,
    Variant,
)

from ..trt.board import record

SCHEMA = json.loads(files("edgeseg.runtime.spec").joinpath("manifest.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
SPEC_VALIDATOR = jsonschema.Draft202012Validator({"$ref": "#/$defs/spec", "$defs": SCHEMA["$defs"]})

strides = st.sampled_from((1, 2, 8, 32))


@st.composite
def geometries(draw: st.DrawFn, stride_px: int = 1) -> Geometry:
    mode = draw(st.sampled_from(("native", "resize", "tile")))
    interpolation = draw(st.sampled_from(("area", "halving", "linear", "nearest")))
    if mode == "tile":
        tiles = draw(st.integers(2, 64))
        overlap = draw(st.integers(0, tiles // 2))
        return Geometry("tile", tile_px=tiles * stride_px, overlap_px=overlap * stride_px, interpolation=interpolation)
    sizes = draw(st.tuples(st.integers(1, 4096), st.integers(1, 4096)))
    if mode == "native" and draw(st.booleans()):
        return Geometry("native", interpolation=interpolation)
    return Geometry(mode, *sizes, interpolation=interpolation)


@st.composite
def inputs(draw: st.DrawFn) -> dict[str, Any]:
    """What all variants of a bundle share of their input."""
    window = draw(st.none() | st.tuples(st.integers(0, 100), st.integers(101, 65535)))
    return {"color": draw(st.sampled_from(("gray", "rgb"))), "window": window}


@st.composite
def specs(draw: st.DrawFn, classes: tuple[str, ...] | None = None, shared: dict[str, Any] | None = None) -> ModelSpec:
    stride_px = draw(strides)
    geometry = draw(geometries(stride_px))
    kind = draw(st.sampled_from(("scores", "class_ids")))
    dtype = draw(st.sampled_from(("uint8", "int8") if kind == "class_ids" else ("uint8", "int8", "float32")))
    low, high = {"uint8": (0, 255), "int8": (-128, 127), "float32": (0, 0)}[dtype]
    names = st.text(min_size=1, max_size=8).filter(str.strip)  # blanks alone name nothing
    classes = classes or tuple(draw(st.lists(names, min_size=2, max_size=5, unique=True)))
    sigmoid = len(classes) == 2 and draw(st.booleans())
    return ModelSpec(
        backend=draw(st.sampled_from(sorted(ENGINES))),
        precision=draw(st.sampled_from(("fp32", "fp16", "int8"))),
        input=InputSpec(geometry=geometry, stride_px=stride_px, **(shared or draw(inputs()))),
        output=OutputSpec(
            kind=kind,
            stride_px=draw(st.sampled_from([size for size in (1, 2, 8, 32) if stride_px % size == 0])),
            layout=draw(st.sampled_from(("NHWC", "NCHW"))),
            dtype=dtype,
            scale=1.0 if dtype == "float32" else draw(st.floats(1e-6, 1e3)),
            zero_point=draw(st.integers(low, high)),
            activation="sigmoid" if sigmoid else "softmax",
        ),
        classes=classes,
        decision=Decision(
            draw(st.floats(0.01, 0.99)), draw(st.sampled_from((None, "val"))), None, draw(st.integers(1, 500))
        ),
        input_dtype=draw(st.sampled_from(("uint8", "int8"))),
        dynamic=draw(st.booleans()) or (geometry.mode == "native" and geometry.height_px is None),
    )


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    shared = draw(inputs())
    first = draw(specs(shared=shared))
    others = draw(st.lists(specs(first.classes, shared), max_size=2))
    variants = tuple(
        Variant(
            name=f"variant-{index}",
            file=f"variants/v{index}.onnx",
            sha256=f"{index:064x}",
            bytes=draw(st.integers(1, 1 << 40)),
            spec=spec,
            engine=proven(f"{index:064x}") if ENGINES[spec.backend].needs_gpu else None,
            accuracy=draw(st.sampled_from(({}, {"val": {"dice_mean": 0.5}}))),
            measured=draw(st.sampled_from(((), ({"target": "x86-ort", "total_p50_ms": 2, "more": [1]},)))),
            opset=draw(st.sampled_from((None, 17))),
            needs=draw(st.sampled_from(((), *((name,) for name in FEATURES)))),
        )
        for index, spec in enumerate([first, *others])
    )
    text = st.text(max_size=12)
    return Manifest(
        name=draw(text),
        bundle_id=draw(text),
        bundle_version=draw(text),
        previous_bundle=draw(st.none() | text),
        intended_use=draw(text),
        edgeseg_version=draw(text),
        git_commit=draw(st.none() | text),
        recipe_sha256=None,
        data=({"name": "set", "n_images": 3},),
        pretrained=draw(st.sampled_from(((), ({"of": "student", "licence": "Apache-2.0"},)))),
        input=first.input,
        classes=first.classes,
        decision=first.decision,
        variants=variants,
        golden=(Golden("golden/000.png", (Expected("variant-0", "golden/000.variant-0.png", 0.005),)),),
    )


def proven(sha256: str) -> EngineRecord:
    return EngineRecord.from_json(record(sha256, evidence="device", proof={"layers": {"int8": 3}}), "record")


def spec_json() -> dict[str, Any]:
    spec = ModelSpec(
        "onnxruntime",
        "int8",
        InputSpec("gray", Geometry("resize", 256, 256), 32),
        OutputSpec("scores", 2, "NCHW", "uint8", 0.1, 100),
        ("background", "nerve", "vessel"),
        dynamic=True,
    )
    return spec.to_json()


def paths(value: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON document, the whole of it left out."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = []
    for key, inner in items:
        found += [(*prefix, key), *paths(inner, (*prefix, key))]
    return found


def put(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    document = copy.deepcopy(document)
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return document


@given(specs())
def test_a_spec_survives_json(spec: ModelSpec) -> None:
    written = json.loads(json.dumps(spec.to_json()))
    assert ModelSpec.from_json(written) == spec
    SPEC_VALIDATOR.validate(written)


@given(manifests())
def test_a_manifest_survives_json(manifest: Manifest) -> None:
    content = json.dumps(manifest.to_json()).encode()
    read = Manifest.from_bytes(content)
    assert read.to_json() == json.loads(content)
    VALIDATOR.validate(json.loads(content))


@given(manifests(), st.data())
def test_what_the_schema_refuses_the_runtime_refuses(manifest: Manifest, data: st.DataObject) -> None:
    document = json.loads(json.dumps(manifest.to_json()))
    path = data.draw(st.sampled_from(paths(document)))
    wrong = st.sampled_from((None, True, -1, 0, 1.5, 10**9, "", "odd", "../x", [], {}, [{}], {"odd": 1}))
    document = put(document, path, data.draw(wrong))
    if not VALIDATOR.is_valid(document):
        with pytest.raises(ManifestError):
            Manifest.from_json(document)


@given(manifests(), st.data())
def test_missing_and_unknown_keys_are_judged_alike(manifest: Manifest, data: st.DataObject) -> None:
    document = json.loads(json.dumps(manifest.to_json()))
    holders = [(), *[path for path in paths(document) if isinstance(get(document, path), dict)]]
    holder = get(document, data.draw(st.sampled_from(holders)))
    if data.draw(st.booleans()) and holder:
        del holder[data.draw(st.sampled_from(sorted(holder)))]
    else:
        holder["unheard_of"] = 1
    try:
        Manifest.from_json(document)
    except ManifestError:
        accepted = False
    else:
        accepted = True
    if VALIDATOR.is_valid(document) != accepted:
        # Only what the schema cannot say may differ: leaving out `dynamic` or a default contradicts another value.
        assert not accepted
        assert "unheard_of" not in holder


def get(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("backend",), "onnxruntim", ["backend", "onnxruntim", "Did you mean 'onnxruntime'"]),
        (("precision",), 8, ["precision", "8"]),
        (("classes",), ["only"], ["classes", "2 to 255"]),
        (("classes",), ["a", "a"], ["differ"]),
        (("classes",), "ab", ["list"]),
        (("dynamic",), 1, ["dynamic", "true or false"]),
        (("input", "stride_px"), 0, ["stride_px", "0"]),
        (("input", "stride_px"), True, ["stride_px"]),
        (("input", "colour"), "gray", ["unknown key 'colour'", "Did you mean 'color'"]),
        (("input", "padding"), "zeros", ["padding", "zeros"]),
        (("input", "geometry", "mode"), "letterbox", ["geometry.mode", "letterbox"]),
        (("input", "geometry", "height_px"), None, ["belong together"]),
        (("input", "geometry", "tile_px"), 64, ["no tiles"]),
        (("output", "scale"), 0, ["output.scale"]),
        (("output", "scale"), float("nan"), ["output.scale"]),
        (("output", "scale"), float("inf"), ["output.scale"]),
        (("output", "zero_point"), -1, ["zero_point", "uint8"]),
        (("output", "activation"), "sigmoid", ["two classes"]),
        (("output", "stride_px"), 3, ["divide"]),
        (("decision", "value"), 1.0, ["decision.value"]),
        (("decision", "fitted_on"), "test", ["chosen on val"]),
        (("decision", "min_area_px"), 0, ["min_area_px"]),
    ],
)
def test_a_wrong_value_is_named(path: tuple[str, ...], value: object, words: list[str]) -> None:
    with pytest.raises(ManifestError) as caught:
        ModelSpec.from_json(put(spec_json(), path, value))
    for word in words:
        assert word in str(caught.value)


def test_a_fixed_file_needs_a_size() -> None:
    wrong = put(put(spec_json(), ("dynamic",), False), ("input", "geometry"), {"mode": "native"})
    with pytest.raises(ManifestError, match="height_px and width_px"):
        ModelSpec.from_json(wrong)


def test_tiles_are_multiples_of_the_stride_and_overlap_by_half_at_most() -> None:
    with pytest.raises(ManifestError, match="next valid value is 128"):
        InputSpec("gray", Geometry("tile", tile_px=100, overlap_px=32), 32)
    with pytest.raises(ManifestError, match="half at most"):
        Geometry("tile", tile_px=64, overlap_px=48)


def test_whole_numbers_pass_as_floats() -> None:
    spec = ModelSpec.from_json(put(spec_json(), ("output", "scale"), 2))
    assert spec.output.scale == 2.0
    assert isinstance(spec.output.scale, float)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(content: bytes) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.json"):
        Manifest.from_bytes(content)


@pytest.mark.parametrize("version", [0, 2, "1", None, True, 1.0])
def test_another_schema_version_says_what_to_do(version: object) -> None:
    with pytest.raises(ManifestError, match="schema_version"):
        Manifest.from_json({"schema_version": version, "something": "new"})


def test_needs_of_a_bundle_packed_before_manifests_said_them_follow_from_its_name() -> None:
    entry = {"name": "onnx-int8-x86", "file": "variants/a.onnx", "sha256": "0" * 64, "bytes": 1, "spec": spec_json()}
    entry |= {"accuracy": {}, "measured": [], "opset": None, "ranges": None}
    assert Variant.from_json(entry, "v").needs == ("vnni",)
    assert Variant.from_json(entry | {"name": "onnx-int8"}, "v").needs == ()
    assert Variant.from_json(entry | {"needs": []}, "v").needs == ()
    with pytest.raises(ManifestError, match=r"variant\.needs.*vnni"):
        Variant.from_json(entry | {"needs": ["vnnl"]}, "v")


def test_the_schema_knows_the_engines_and_features_of_the_tables() -> None:
    assert SCHEMA["$defs"]["spec"]["properties"]["backend"]["enum"] == list(ENGINES)
    assert SCHEMA["$defs"]["variant"]["properties"]["needs"]["items"]["enum"] == list(FEATURES)


# -- engines built for a GPU


def engine_variant(**changes: Any) -> Variant:
    spec = ModelSpec.from_json(put(spec_json(), ("backend",), "tensorrt"))
    fields = {"name": "trt-int8-orin", "file": "variants/trt.engine", "sha256": "0" * 64, "bytes": 3, "spec": spec}
    return Variant(**fields | {"accuracy": {}, "engine": proven("0" * 64)} | changes)


def test_an_engine_without_proof_is_no_variant() -> None:
    built = dataclasses.replace(proven("0" * 64), evidence="built")
    for engine, words in (
        (None, "nothing says what its engine was built for"),
        (built, "was only built"),
        (proven("1" * 64), "its record is of another file"),
    ):
        with pytest.raises(ManifestError, match=rf"trt-int8-orin.*{words}.*edgeseg prove"):
            engine_variant(engine=engine)
    with pytest.raises(ManifestError, match="runs in onnxruntime, whose files are built for no GPU"):
        engine_variant(spec=ModelSpec.from_json(spec_json()))


def test_a_record_in_a_manifest_is_read_whole_and_others_have_none() -> None:
    written = engine_variant().to_json()
    read = Variant.from_json(json.loads(json.dumps(written)), "variant")
    assert read.engine is not None and read.engine.content["proof"] == {"layers": {"int8": 3}}
    assert "engine" not in engine_variant(spec=ModelSpec.from_json(spec_json()), engine=None).to_json()
    for path, words in ((("gpu", "cuda"), r"variant.engine: gpu.cuda"), (("settings",), r"variant.engine: settings")):
        with pytest.raises(ManifestError, match=words):
            Variant.from_json(put(written, ("engine", *path), 3), "variant")
