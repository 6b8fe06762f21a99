"""Unpacking gives back what was packed, as files, whole or not at all."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from edgeseg.export.unpack import unpack
from edgeseg.runtime import Segmenter
from edgeseg.runtime.errors import BundleError, EdgesegError
from edgeseg.runtime.opening.bundle import Bundle

from .test_pack import frames, info, source  # noqa: F401  fixtures


@pytest.fixture
def packed(source, info, frames, tmp_path: Path) -> Path:  # noqa: F811
    from edgeseg.export.pack import pack

    pack(tmp_path / "part.edgeseg", info, [source], frames)
    return tmp_path / "part.edgeseg"


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_entry_is_written_as_it_is(packed: Path, tmp_path: Path) -> None:
    with Bundle.open(packed) as bundle:
        assert set(unpack(bundle, tmp_path / "out")) == set(bundle.names)
    with zipfile.ZipFile(packed) as archive:
        assert files_in(tmp_path / "out") == {name: archive.read(name) for name in archive.namelist()}
    for line in (tmp_path / "out" / "SHA256SUMS").read_text().splitlines():  # as `sha256sum --check` does
        digest, name = line.split("  ")
        assert hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest() == digest


def test_a_variant_is_a_step_s_folder_that_runs(packed: Path, frames, tmp_path: Path) -> None:  # noqa: F811
    with Bundle.open(packed) as bundle:
        assert unpack(bundle, tmp_path / "step", "onnx-fp32") == ("model.onnx", "spec.json")
    with Segmenter.open(packed) as whole, Segmenter.open(tmp_path / "step") as taken:
        assert (whole(frames[0]).mask == taken(frames[0]).mask).all()


def test_nothing_is_replaced_and_nothing_half_written(packed: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with Bundle.open(packed) as bundle, pytest.raises(EdgesegError, match="not empty"):
        unpack(bundle, tmp_path / "out")
    assert files_in(tmp_path / "out") == {"mine": b"x"}
    before = sorted(tmp_path.iterdir())
    with Bundle.open(packed) as bundle, pytest.raises(BundleError, match="Did you mean 'onnx-fp32'"):
        unpack(bundle, tmp_path / "new", "onnx-fp23")
    assert sorted(tmp_path.iterdir()) == before
