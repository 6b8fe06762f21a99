"""What a bundle says of a variant by target, and which variant a device takes for it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from edgeseg.pipeline.plan.layout import VARIANT_ROWS
from edgeseg.pipeline.plan.row import Row
from edgeseg.pipeline.plan.variants import VARIANTS
from edgeseg.pipeline.steps.pack import GOLDEN_FRAMES, golden_frames, measured_of
from edgeseg.runtime import engines
from edgeseg.runtime.data.dataset import open_dataset, read_image
from edgeseg.runtime.opening import selection
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.spec.manifest import Manifest
from edgeseg.train.synthetic.dataset import write_dataset

from ...runtime.conftest import tiny_bundle, tiny_onnx  # noqa: F401  fixtures


@pytest.fixture
def manifest(tiny_bundle: Path) -> Manifest:  # noqa: F811
    """A manifest with every variant of the table, each refused on its target."""
    with Bundle.open(tiny_bundle) as bundle:
        model = bundle.variants[0]
    packed = []
    for layout, plan in zip(VARIANT_ROWS, VARIANTS, strict=True):
        row = Row(layout.name, layout.parent, "variant", layout.variant, layout.target, "ok", refused_for={})
        row = dataclasses.replace(row, refused_for={layout.target: "too slow"})
        spec = dataclasses.replace(model.spec, backend=plan.engine.name, precision=plan.precision)
        changes = {"name": plan.name, "spec": spec, "needs": layout.needs, "measured": measured_of(row, layout)}
        packed.append(dataclasses.replace(model, **changes))
    return dataclasses.replace(bundle.manifest, variants=tuple(packed), golden=())


@pytest.mark.parametrize("kind", ["x86", "x86-vnni"])
def test_a_variant_for_another_device_is_not_taken_before_those_that_were_measured_and_refused(
    manifest: Manifest, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "machine_kind", lambda: kind)
    monkeypatch.setattr(engines, "installed_package", lambda name: name)
    assert selection.rank(manifest)[0].name == "tflite-int8"


def test_a_row_that_is_timed_speaks_of_its_target_alone() -> None:
    layout = next(row for row in VARIANT_ROWS if row.name == "onnx_int8")
    times = {stage: {"p50": 1.0} for stage in ("pre", "infer", "post", "total")}
    row = Row("onnx_int8", "onnx_fp32", "variant", "onnx-int8-x86", "x86-ort", "ok", latency_ms=times)
    (found,) = measured_of(row, layout)
    assert found["target"] == "x86-ort" and found["status"] == "ok" and found["total_p50_ms"] == 1.0


def test_times_that_are_no_device_s_say_so_and_choose_nothing() -> None:
    layout = next(row for row in VARIANT_ROWS if row.name == "onnx_int8")
    times = {stage: {"p50": 1.0} for stage in ("pre", "infer", "post", "total")}
    row = Row("onnx_int8", "onnx_fp32", "variant", "onnx-int8-x86", "x86-ort", "ok", latency_ms=times)
    (replayed,), (emulated,) = (measured_of(row, layout, evidence) for evidence in ("replayed", "emulated"))
    assert (replayed["evidence"], replayed["total_p50_ms"]) == ("replayed", 1.0)
    assert emulated == {"target": "x86-ort", "status": "ok", "evidence": "emulated"}
    assert "evidence" not in measured_of(row, layout)[0]


def test_golden_frames_show_something_where_there_is_a_choice(tmp_path: Path) -> None:
    """On empty frames a network that finds nothing would be right."""
    write_dataset(tmp_path / "metal", n=60, seed=0, size_px=64)
    data = open_dataset(tmp_path / "metal")
    test = data.split("test")
    showing = [one for one in test if one.read_truth(len(data.classes)).any()]
    assert test[:GOLDEN_FRAMES] != showing[:GOLDEN_FRAMES], "another seed is needed to test anything"
    frames = golden_frames(data, 0)
    assert len(frames) == GOLDEN_FRAMES
    for frame, sample in zip(frames, showing, strict=False):
        assert (frame == read_image(sample.image, data.color)).all()
    empty = dataclasses.replace(data, samples=tuple(one for one in test if one not in showing))
    assert len(golden_frames(empty, 0)) == min(GOLDEN_FRAMES, len(empty.samples))
