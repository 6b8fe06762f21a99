"""`verify` runs what it can, compares with the golden masks and says what it did not check."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from edgeseg.runtime import engines, golden
from edgeseg.runtime.device.verify import verify_bundle, verify_code
from edgeseg.runtime.errors import BundleError
from edgeseg.runtime.golden import decode_png, differing_share, encode_png
from edgeseg.runtime.spec.manifest import ModelSpec

from ..opening.test_bundle import contents, renamed, summed, write


def test_a_whole_bundle_is_ok(tiny_bundle: Path) -> None:
    report = verify_bundle(tiny_bundle, allow_unsigned=True)
    json.dumps(report, allow_nan=False)
    assert report["ok"]
    assert report["intact"]
    assert [row["status"] for row in report["variants"]] == ["ok", "ok"]
    assert all(len(row["golden"]) == 2 for row in report["variants"])
    assert report["not_checked"][0].startswith("signature: NOT CHECKED: it is not signed")
    assert (report["signed"], report["signatures"], report["refused"]) == (False, [], [])


def test_an_unsigned_bundle_is_not_ok_by_itself(tiny_bundle: Path) -> None:
    report = verify_bundle(tiny_bundle)
    assert not report["ok"] and report["intact"]
    assert [row["status"] for row in report["variants"]] == ["ok", "ok"]
    assert verify_code(report) == 3


def test_damaged_entries_are_all_listed_and_nothing_runs(tiny_bundle: Path, tmp_path: Path) -> None:
    entries = contents(tiny_bundle)
    for name in ("variants/onnx-fp32.onnx", "golden/000.png"):
        entries[name] = b"x" + entries[name][1:]
    report = verify_bundle(write(tmp_path / "b.edgeseg", entries))
    assert not report["ok"]
    assert len(report["damaged"]) == 2
    assert report["variants"] == []


def test_another_mask_than_the_golden_one_differs(tiny_bundle: Path, tmp_path: Path) -> None:
    entries = contents(tiny_bundle)
    name = "golden/001.onnx-fp32.png"
    mask = decode_png(entries[name], name)
    entries[name] = encode_png(((mask + 1) % 3).astype(np.uint8))
    report = verify_bundle(write(tmp_path / "b.edgeseg", renamed(entries)))
    assert report["intact"]
    assert not report["ok"]
    statuses = {row["name"]: row["status"] for row in report["variants"]}
    assert statuses == {"onnx-fp32": "differs", "onnx-int8-x86": "ok"}
    assert "100.000% of the pixels differ" in report["variants"][0]["reason"]


def test_one_that_finds_nothing_differs_however_few_pixels_that_are(tiny_bundle: Path, tmp_path: Path) -> None:
    """A pit of a large frame is a thousandth of its pixels."""
    entries = contents(tiny_bundle)
    name = "golden/001.onnx-fp32.png"
    mask = decode_png(entries[name], name)
    entries[name] = encode_png(((mask + 1) % 3).astype(np.uint8))
    manifest = json.loads(entries["manifest.json"])
    for frame in manifest["golden"]:
        for one in frame["expected"]:
            one["max_differing_share"] = 1.0
    entries["manifest.json"] = json.dumps(manifest).encode()
    report = verify_bundle(write(tmp_path / "b.edgeseg", renamed(entries)), allow_unsigned=True)
    assert not report["ok"] and verify_code(report) == 3
    row = report["variants"][0]
    assert (
        row["status"] == "differs"
        and "golden/001.png: of the pixels that its mask or the expected one" in row["reason"]
    )


def test_golden_masks_that_mark_nothing_are_said_to_show_nothing(tiny_bundle: Path, monkeypatch) -> None:
    monkeypatch.setattr(golden, "_TOLD_FROM_PX", 10**9)
    report = verify_bundle(tiny_bundle, allow_unsigned=True)
    assert report["ok"]
    assert [one for one in report["not_checked"] if "onnx-fp32: whether it still finds anything" in one]


def test_a_model_the_engine_refuses_has_failed(tiny_bundle: Path, tmp_path: Path) -> None:
    entries = contents(tiny_bundle)
    manifest = json.loads(entries["manifest.json"])
    entries[manifest["variants"][0]["file"]] = b"no model"
    only = summed({"x": b"no model"})["SHA256SUMS"].decode().split()[0]
    manifest["variants"][0] |= {"sha256": only, "bytes": 8}
    entries["manifest.json"] = json.dumps(manifest).encode()
    report = verify_bundle(write(tmp_path / "b.edgeseg", renamed(entries)))
    assert report["variants"][0]["status"] == "failed"
    assert "refused the model" in report["variants"][0]["reason"]
    assert not report["ok"]


def test_without_any_engine_it_is_not_ok(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda module: None)
    report = verify_bundle(tiny_bundle)
    assert report["intact"]
    assert not report["ok"]
    assert all(row["status"] == "not run" and "pip install" in row["reason"] for row in report["variants"])
    assert sum("onnx" in sentence for sentence in report["not_checked"]) == 2


def test_a_variant_without_golden_input_did_not_run(tiny_bundle: Path, tmp_path: Path) -> None:
    entries = contents(tiny_bundle)
    manifest = json.loads(entries["manifest.json"])
    for frame in manifest["golden"]:
        frame["expected"] = frame["expected"][:1]
    entries["manifest.json"] = json.dumps(manifest).encode()
    report = verify_bundle(write(tmp_path / "b.edgeseg", renamed(entries)), allow_unsigned=True)
    assert report["ok"]
    assert [row["status"] for row in report["variants"]] == ["ok", "not run"]


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such file"):
        verify_bundle(tmp_path / "gone.edgeseg")


@pytest.mark.parametrize("shape", [(1, 1), (7, 9), (7, 9, 3)])
def test_png_gives_back_every_pixel(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    np.testing.assert_array_equal(decode_png(encode_png(image), "x"), image)


@pytest.mark.parametrize("content", [b"", b"no picture", encode_png(np.zeros((9, 9), np.uint8))[:20]])
def test_what_is_no_png_is_refused(content: bytes) -> None:
    with pytest.raises(BundleError, match=r"golden/000\.png"):
        decode_png(content, "golden/000.png")


def test_shares_of_differing_pixels() -> None:
    one, other = np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.uint8)
    other[0, 0] = 1
    assert differing_share(one, one) == 0.0
    assert differing_share(one, other) == pytest.approx(0.05)
    assert differing_share(one, one.T) == 1.0


def test_overlap_is_of_what_is_marked() -> None:
    one = np.zeros((100, 100), np.uint8)
    one[:10, :10] = 1
    half, other_class = one.copy(), one * 2
    half[:5] = 0
    assert golden.overlap(one, one) == 1.0 and not golden.is_lost(1.0)
    assert golden.overlap(half, one) == 0.5 and not golden.is_lost(0.5)
    for lost in (np.zeros_like(one), other_class, one[::-1], one[:50]):
        assert golden.overlap(lost, one) == 0.0
    assert golden.is_lost(0.0)
    assert golden.overlap(one, np.zeros_like(one)) is None and not golden.is_lost(None)


def test_the_spec_in_a_bundle_is_the_one_that_was_packed(tiny_bundle: Path, tiny_onnx) -> None:
    manifest = json.loads(contents(tiny_bundle)["manifest.json"])
    spec = ModelSpec.from_json(manifest["variants"][0]["spec"])
    _, wanted = tiny_onnx(geometry=spec.input.geometry)
    assert spec == dataclasses.replace(wanted)
