"""Packing: the scored files byte for byte, the same input giving the same bundle, nothing half written."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import resource
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import edgeseg.export.pack as packing
from edgeseg.export.pack import BundleInfo, VariantSource, pack
from edgeseg.runtime import Segmenter
from edgeseg.runtime.device.verify import verify_bundle
from edgeseg.runtime.errors import BackendError, EdgesegError, ExportError, FrameError, ManifestError
from edgeseg.runtime.golden import decode_png
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.score.seen import ENTRY, SeenImages


def _tiny_models() -> ModuleType:
    # The tiny models are made in the runtime's conftest, which pytest does not let another folder import.
    path = Path(__file__).parents[1] / "runtime" / "conftest.py"
    spec = importlib.util.spec_from_file_location("tiny_models", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tiny = _tiny_models()


@pytest.fixture
def source(tmp_path: Path) -> VariantSource:
    """A model file to pack."""
    spec = tiny.tiny_spec()
    path = tiny.write_tiny_onnx(tmp_path / "model.onnx", spec)
    return VariantSource("onnx-fp32", path, spec, accuracy={"val": {"dice_mean": 0.5}}, opset=17)


@pytest.fixture
def info(source: VariantSource) -> BundleInfo:
    """What is said about the bundle."""
    data = ({"name": "set", "content_sha256": "0" * 64, "n_images": 3},)
    pretrained = ({"of": "student", "name": "lite0", "licence": "Apache-2.0"},)
    its = source.spec.input
    return BundleInfo("part", "1.2", "tests only", its, data=data, pretrained=pretrained, git_commit="abc")


@pytest.fixture
def frames() -> list[np.ndarray]:
    """A gray and an RGB frame."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (30, 40), np.uint8), rng.integers(0, 256, (20, 50, 3), np.uint8)]


def test_what_is_packed_is_what_was_scored(source, info, frames, tmp_path: Path) -> None:
    path = tmp_path / "out" / "part.edgeseg"
    manifest = pack(path, info, [source], frames)
    with Bundle.open(path) as bundle:
        assert bundle.manifest.to_json() == manifest.to_json()
        assert bundle.read(manifest.variants[0].file) == source.model.read_bytes()
        assert manifest.variants[0].sha256 == hashlib.sha256(source.model.read_bytes()).hexdigest()
        for frame, golden in zip(frames, manifest.golden, strict=True):
            np.testing.assert_array_equal(decode_png(bundle.read(golden.input), golden.input), frame)
            with Segmenter.from_file(source.model, source.spec) as segmenter:
                expected = golden.expected[0].mask
                np.testing.assert_array_equal(decode_png(bundle.read(expected), expected), segmenter(frame).mask)
    assert verify_bundle(path, allow_unsigned=True)["ok"]
    assert manifest.classes == source.spec.classes
    assert manifest.git_commit == "abc"
    assert manifest.pretrained == info.pretrained


def test_the_same_input_gives_the_same_bytes(source, info, frames, tmp_path: Path) -> None:
    pack(tmp_path / "a.edgeseg", info, [source], frames)
    pack(tmp_path / "b.edgeseg", info, [source], frames)
    assert (tmp_path / "a.edgeseg").read_bytes() == (tmp_path / "b.edgeseg").read_bytes()


def test_any_other_content_gives_another_identity(source, info, frames, tmp_path: Path) -> None:
    ids = {
        pack(tmp_path / "a.edgeseg", info, [source], frames).bundle_id,
        pack(tmp_path / "b.edgeseg", dataclasses.replace(info, bundle_version="2"), [source], frames).bundle_id,
        pack(tmp_path / "c.edgeseg", info, [source], frames[:1]).bundle_id,
        pack(tmp_path / "d.edgeseg", info, [source], [255 - frames[0], frames[1]]).bundle_id,
    }
    assert len(ids) == 4


def test_the_images_behind_it_are_an_entry_that_verify_covers(source, info, frames, tmp_path: Path) -> None:
    known = SeenImages({"train": frozenset(["0" * 16]), "val": frozenset(["1" * 16]), "test": frozenset()})
    without = pack(tmp_path / "a.edgeseg", info, [source], frames)
    having = pack(tmp_path / "b.edgeseg", dataclasses.replace(info, seen=known), [source], frames)
    assert having.bundle_id != without.bundle_id
    assert having.to_json() | {"bundle_id": ""} == without.to_json() | {"bundle_id": ""}, "the manifest stays small"
    with Bundle.open(tmp_path / "a.edgeseg") as old, Bundle.open(tmp_path / "b.edgeseg") as new:
        assert SeenImages.of_bundle(old) is None and SeenImages.of_bundle(new) == known
        assert {*new.sums} - {*old.sums} == {ENTRY}
    assert verify_bundle(tmp_path / "b.edgeseg", allow_unsigned=True)["ok"]


def test_the_zip_holds_stored_entries_without_dates_or_paths(source, info, frames, tmp_path: Path) -> None:
    path = tmp_path / "part.edgeseg"
    pack(path, info, [source], frames)
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist()[0] == "manifest.json"
        for entry in archive.infolist():
            assert entry.compress_type == zipfile.ZIP_STORED
            assert entry.date_time == (1980, 1, 1, 0, 0, 0)
    assert str(tmp_path).encode() not in path.read_bytes()


def test_a_file_changed_after_scoring_is_refused(source, info, frames, tmp_path: Path) -> None:
    right = hashlib.sha256(source.model.read_bytes()).hexdigest()
    pack(tmp_path / "a.edgeseg", info, [dataclasses.replace(source, sha256=right)], frames)
    with pytest.raises(ExportError, match="changed after it was scored"):
        pack(tmp_path / "b.edgeseg", info, [dataclasses.replace(source, sha256="0" * 64)], frames)
    assert not (tmp_path / "b.edgeseg").exists()


def test_wrong_input_leaves_the_old_bundle(source, info, frames, tmp_path: Path) -> None:
    path = tmp_path / "part.edgeseg"
    pack(path, info, [source], frames)
    before = path.read_bytes()
    other_classes = dataclasses.replace(source.spec, classes=("a", "b", "c"))
    twice = [source, dataclasses.replace(source, name="onnx-fp16", spec=other_classes)]
    for variants, golden, error in (
        ([source], [], ExportError),
        ([], frames, ManifestError),
        ([source, source], frames, ManifestError),
        (twice, frames, ManifestError),
        ([dataclasses.replace(source, name="../x")], frames, ManifestError),
        ([dataclasses.replace(source, model=tmp_path / "gone.onnx")], frames, ExportError),
        ([source], [np.zeros((4, 4))], FrameError),
        ([dataclasses.replace(source, accuracy={"val": float("nan")})], frames, ExportError),
        ([dataclasses.replace(source, max_differing_share=2.0)], frames, ManifestError),
    ):
        with pytest.raises(error):
            pack(path, info, variants, golden)
        assert path.read_bytes() == before
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(BackendError):
        pack(path, info, [source], frames)
    assert path.read_bytes() == before


@contextmanager
def largest_file(n_bytes: int) -> Iterator[None]:
    """The system refuses to write files beyond this, as a full disk does, in the middle of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_ends_in_the_middle_leaves_the_old_bundle(source, info, frames, tmp_path: Path) -> None:
    path = tmp_path / "part.edgeseg"
    pack(path, info, [source], frames)
    before = sorted(tmp_path.iterdir()), path.read_bytes()
    with largest_file(path.stat().st_size // 2), pytest.raises(EdgesegError, match=r"part\.edgeseg.*too large"):
        pack(path, dataclasses.replace(info, bundle_version="2"), [source], frames)
    assert (sorted(tmp_path.iterdir()), path.read_bytes()) == before


def test_a_bundle_that_cannot_be_opened_gets_no_name(
    source, info, frames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "_sums", lambda entries: {})
    with pytest.raises(EdgesegError):
        pack(tmp_path / "part.edgeseg", info, [source], frames)
    assert not (tmp_path / "part.edgeseg").exists()


def test_a_file_that_two_engines_run_is_in_the_bundle_once(source, info, frames, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    other = dataclasses.replace(
        source, name="openvino-fp32", spec=dataclasses.replace(source.spec, backend="openvino"), needs=("vnni",)
    )
    path = tmp_path / "part.edgeseg"
    manifest = pack(path, info, [source, other], frames)
    assert [variant.file for variant in manifest.variants] == ["variants/onnx-fp32.onnx"] * 2
    assert [variant.needs for variant in manifest.variants] == [(), ("vnni",)]
    with zipfile.ZipFile(path) as archive:
        assert [name for name in archive.namelist() if name.startswith("variants/")] == ["variants/onnx-fp32.onnx"]
    rows = verify_bundle(path)["variants"]
    assert [row["status"] for row in rows] == ["ok", "ok"]
    assert [row["engine"].split()[0] for row in rows] == ["onnxruntime", "openvino"]
    for golden in manifest.golden:
        masks = {expected.variant: expected.mask for expected in golden.expected}
        assert masks.keys() == {"onnx-fp32", "openvino-fp32"} and len(set(masks.values())) == 2
