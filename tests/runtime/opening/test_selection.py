"""The variant for a machine follows the documented rule."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import pytest

from edgeseg.runtime import Segmenter, engines
from edgeseg.runtime.device.commands import describe
from edgeseg.runtime.errors import BackendError
from edgeseg.runtime.opening import selection
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.opening.selection import machine_kind, rank, target_name, unfit_reason
from edgeseg.runtime.processor import cpu_flags
from edgeseg.runtime.spec.manifest import Manifest

NAMES = ("onnx-fp32", "onnx-int8", "onnx-int8-x86", "tflite-fp32", "tflite-int8")


@pytest.fixture
def manifest(tiny_bundle: Path) -> Manifest:
    """A manifest with every usual variant."""
    with Bundle.open(tiny_bundle) as bundle:
        model = bundle.variants[0]
    variants = []
    for name in NAMES:
        backend, precision = ("litert" if name.startswith("tflite") else "onnxruntime"), name.split("-")[1]
        spec = dataclasses.replace(model.spec, backend=backend, precision=precision)
        # Names are for people: what is chosen follows from what the manifest says.
        needs = ("vnni",) if name == "onnx-int8-x86" else ()
        variants.append(dataclasses.replace(model, name=name, spec=spec, needs=needs))
    return dataclasses.replace(bundle.manifest, variants=tuple(variants), golden=())


def measured(manifest: Manifest, rows: Mapping[str, tuple[Mapping[str, Any], ...]]) -> Manifest:
    variants = tuple(dataclasses.replace(variant, measured=rows.get(variant.name, ())) for variant in manifest.variants)
    return dataclasses.replace(manifest, variants=variants)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    """Pretend to be a machine with engines."""

    def pretend(kind: str, installed: tuple[str, ...] = ("onnxruntime", "litert")) -> None:
        monkeypatch.setattr(selection, "machine_kind", lambda: kind)
        monkeypatch.setattr(engines, "installed_package", lambda name: name if name in installed else None)

    return pretend


@pytest.mark.parametrize(
    ("kind", "engines", "wanted"),
    [
        ("x86-vnni", ("onnxruntime", "litert"), "onnx-int8-x86"),
        ("x86-vnni", ("litert",), "tflite-int8"),
        ("x86", ("onnxruntime", "litert"), "tflite-int8"),
        ("x86", ("onnxruntime",), "onnx-fp32"),
        ("arm64", ("onnxruntime", "litert"), "tflite-int8"),
        ("arm64", ("onnxruntime",), "onnx-int8"),
        ("riscv64", ("onnxruntime", "litert"), "onnx-fp32"),
    ],
)
def test_without_measurements_the_order_of_the_machine_decides(manifest, machine, kind, engines, wanted) -> None:
    machine(kind, engines)
    assert rank(manifest)[0].name == wanted


def test_the_fastest_accepted_of_this_target_wins(manifest, machine) -> None:
    machine("x86-vnni")
    rows = {
        "onnx-fp32": ({"target": "x86-ort", "status": "ok", "total_p50_ms": 3},),
        "onnx-int8-x86": ({"target": "x86-ort", "status": "ok", "total_p50_ms": 2.0},),
        "tflite-int8": ({"target": "x86-litert", "status": "ok", "total_p50_ms": 1.5},),
        "onnx-int8": ({"target": "arm64-ort", "status": "ok", "total_p50_ms": 0.1},),
    }
    assert rank(measured(manifest, rows))[0].name == "tflite-int8"
    rows["tflite-int8"] = ({"target": "x86-litert", "status": "refused", "total_p50_ms": 1.5},)
    assert rank(measured(manifest, rows))[0].name == "onnx-int8-x86"


def test_a_time_not_measured_does_not_count(manifest, machine) -> None:
    machine("x86-vnni")
    rows = {name: ({"target": "x86-ort", "total_p50_ms": None},) for name in NAMES}
    assert rank(measured(manifest, rows))[0].name == "onnx-int8-x86"


def test_the_refused_are_taken_when_nothing_else_is_left(manifest, machine) -> None:
    machine("x86-vnni", ("onnxruntime",))
    rows = {name: ({"target": "x86-ort", "status": "refused"},) for name in NAMES}
    assert rank(measured(manifest, rows))[0].name == "onnx-int8-x86"


def test_u8s8_is_not_chosen_without_vnni_even_if_it_was_the_fastest_elsewhere(manifest, machine) -> None:
    machine("x86", ("onnxruntime",))
    rows = {"onnx-int8-x86": ({"target": "x86-ort", "total_p50_ms": 0.5},)}
    assert rank(measured(manifest, rows))[0].name == "onnx-fp32"
    assert "VNNI" in str(unfit_reason(manifest.variants[NAMES.index("onnx-int8-x86")]))


def test_an_engine_that_no_order_names_is_chosen_where_it_was_the_fastest_and_is_right(manifest, machine) -> None:
    """OpenVINO runs the very files of ONNX Runtime; which is faster is measured, not known."""
    added = []
    for variant in manifest.variants:
        if variant.name in ("onnx-fp32", "onnx-int8-x86"):
            spec = dataclasses.replace(variant.spec, backend="openvino")
            added.append(dataclasses.replace(variant, name=variant.name.replace("onnx", "openvino"), spec=spec))
    both = dataclasses.replace(manifest, variants=(*manifest.variants, *added))
    everything = ("onnxruntime", "litert", "openvino")
    machine("x86-vnni", everything)
    assert rank(both)[0].name == "onnx-int8-x86"
    rows = {"openvino-int8-x86": ({"target": "x86-openvino", "total_p50_ms": 1.0},)}
    assert rank(measured(both, rows))[0].name == "openvino-int8-x86"
    machine("x86", everything)  # it saturates there as well
    assert "openvino-int8-x86" not in [variant.name for variant in rank(measured(both, rows))]
    machine("x86", ("openvino",))
    assert rank(both)[0].name == "openvino-fp32"


def test_nothing_that_runs_lists_every_reason(tiny_bundle, machine) -> None:
    machine("x86", ())
    with pytest.raises(BackendError, match=r"onnx-fp32: no engine.*edgeseg\[ort\].*onnx-int8-x86: no engine"):
        Segmenter.open(tiny_bundle)


def bundle_with_a_refused_variant(tiny_bundle: Path, target: Path) -> Path:
    """The tiny bundle, whose integer variant is a file that no onnxruntime opens."""
    from .test_bundle import contents, renamed, write

    entries = contents(tiny_bundle)
    model = onnx.load_from_string(entries["variants/onnx-int8-x86.onnx"])
    model.ir_version = 999
    content = model.SerializeToString()
    manifest = json.loads(entries["manifest.json"])
    for variant in manifest["variants"]:
        if variant["name"] == "onnx-int8-x86":
            variant["sha256"], variant["bytes"] = hashlib.sha256(content).hexdigest(), len(content)
    changed = {"variants/onnx-int8-x86.onnx": content, "manifest.json": json.dumps(manifest).encode()}
    return write(target, renamed(entries | changed))


def test_what_its_engine_refuses_is_passed_over_for_the_next(tiny_bundle, machine, tmp_path, stripes) -> None:
    path = bundle_with_a_refused_variant(tiny_bundle, tmp_path / "newer.edgeseg")
    machine("x86-vnni")
    with pytest.warns(RuntimeWarning, match=r"onnx-int8-x86 is passed over for onnx-fp32.*999"):
        segmenter = Segmenter.open(path)
    with segmenter:
        assert segmenter.name == "onnx-fp32"
        assert segmenter(stripes).mask.any()
    with pytest.raises(BackendError, match=r"999.*pip install -U onnxruntime"):
        Segmenter.open(path, "onnx-int8-x86")


def test_doctor_names_the_variant_that_it_has_opened(tiny_bundle, machine, tmp_path) -> None:
    path = bundle_with_a_refused_variant(tiny_bundle, tmp_path / "newer.edgeseg")
    machine("x86-vnni")
    report = describe(path)
    assert report["chosen"] == "onnx-fp32"
    reasons = {row["name"]: row["unfit"] for row in report["variants"]}
    assert "999" in reasons["onnx-int8-x86"]
    assert reasons["onnx-fp32"] is None


def test_doctor_chooses_nothing_where_nothing_opens(tiny_bundle, machine, monkeypatch) -> None:
    def refuse(*args: object) -> None:
        raise BackendError("refused")

    machine("x86-vnni")
    monkeypatch.setattr(selection, "open_backend", refuse)
    report = describe(tiny_bundle)
    assert report["chosen"] is None
    assert [row["unfit"] for row in report["variants"]] == ["refused", "refused"]
    with pytest.raises(BackendError, match="onnx-fp32: refused; onnx-int8-x86: refused"):
        Segmenter.open(tiny_bundle)


@pytest.mark.parametrize(
    ("machine_name", "flags", "wanted"),
    [
        ("x86_64", {"avx2"}, "x86"),
        ("AMD64", {"avx_vnni"}, "x86-vnni"),
        ("x86_64", {"avx512_vnni"}, "x86-vnni"),
        ("aarch64", {"asimd"}, "arm64"),
        ("arm64", set(), "arm64"),
        ("armv7l", set(), "armv7l"),
    ],
)
def test_machines_are_told_apart(machine_name, flags, wanted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection.platform, "machine", lambda: machine_name)
    monkeypatch.setattr(selection, "cpu_flags", lambda: frozenset(flags))
    machine_kind.cache_clear()
    try:
        assert machine_kind() == wanted
        assert target_name("onnxruntime") == f"{wanted.removesuffix('-vnni')}-ort"
    finally:
        machine_kind.cache_clear()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx2 avx_vnni\nbugs\t:\n", {"fpu", "avx2", "avx_vnni"}),
        ("processor\t: 0\nFeatures\t: fp asimd\n", {"fp", "asimd"}),
        ("", set()),
    ],
)
def test_flags_are_read_from_cpuinfo(text, wanted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pathlib.Path.read_text", lambda *args, **kwargs: text)
    cpu_flags.cache_clear()
    try:
        assert cpu_flags() == wanted
    finally:
        cpu_flags.cache_clear()


def test_open_takes_the_named_or_the_chosen_variant(tiny_bundle: Path) -> None:
    with Bundle.open(tiny_bundle) as bundle:
        wanted = rank(bundle.manifest)[0].name
    with Segmenter.open(tiny_bundle) as segmenter:
        assert segmenter.name == wanted
    with Segmenter.open(tiny_bundle, "onnx-fp32", threads=1) as segmenter:
        assert segmenter.name == "onnx-fp32"
