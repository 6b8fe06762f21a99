"""The table of interpreters: real ones here, with XNNPACK and without; those of other environments are not fetched."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from edgeseg.runtime.errors import EdgesegError
from edgeseg.runtime.opening.bundle import Bundle

from ..runtime.conftest import tiny_bundle, tiny_onnx, tiny_tflite  # noqa: F401  fixtures

SCRIPTS = Path(__file__).parents[2] / "benchmarks" / "files"


@pytest.fixture
def compat(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    module = importlib.import_module("compat")
    monkeypatch.setattr(module, "RUNTIMES", module.RUNTIMES[:2])
    return module


@pytest.fixture(scope="module")
def bundle(tiny_tflite, tmp_path_factory) -> Path:  # noqa: F811
    pack = pytest.importorskip("edgeseg.export.pack")
    path, (model, spec) = tmp_path_factory.mktemp("packed") / "tiny.edgeseg", tiny_tflite
    frames = [np.random.default_rng(seed).integers(0, 256, (50, 60), np.uint8) for seed in (0, 1)]
    info = pack.BundleInfo("tiny", "1", "tests", spec.input)
    pack.pack(path, info, [pack.VariantSource("tflite-fp32", model, spec)], frames)
    return path


def test_a_file_is_run_in_each_interpreter_and_held_against_its_golden_masks(compat, bundle) -> None:
    pythons = {one.title: Path(sys.executable) for one in compat.RUNTIMES}
    head, _, row = compat.table(bundle, None, pythons)
    assert head == "| Variant | ai-edge-litert, XNNPACK | ai-edge-litert, built-in kernels |"
    assert row == "| `tflite-fp32` | golden equal | golden equal |"


def test_masks_that_differ_and_a_file_that_is_refused_are_told(compat, bundle) -> None:
    with Bundle.open(bundle) as opened:
        (variant,) = opened.variants
        content, frames = opened.read(variant.file), compat.frames_of(opened, None)
    runtime, python = compat.RUNTIMES[0], Path(sys.executable)
    masks = compat.masks_of(content, variant.spec, frames.images, runtime, python)
    assert compat.differing(masks, masks) == "equal" and len({*np.unique(masks[0])}) > 1
    other = [masks[0].copy(), masks[1]]
    other[0][:3] = 255
    assert compat.differing(masks, other) == f"{3 * 60 / (2 * 50 * 60):.3%} differ"
    refused = compat.masks_of(b"no flatbuffer at all", variant.spec, frames.images, runtime, python)
    assert isinstance(refused, str) and refused and "\n" not in refused


def test_a_bundle_without_tflite_and_a_machine_without_a_fitting_python_are_told(
    compat,
    tiny_bundle,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(EdgesegError, match=r"holds no TFLite file; its variants are onnx-fp32, onnx-int8-x86"):
        compat.table(tiny_bundle, None, {})
    monkeypatch.setattr(compat, "NEWEST", (3, 8))
    with pytest.raises(EdgesegError, match="tflite-runtime has no wheel for a newer one"):
        compat.base_python()


def test_an_environment_that_is_there_is_not_made_again(compat, tmp_path: Path) -> None:
    runtime = compat.Runtime("x", "x", ("some-package==1.0", "numpy<2"))
    folder = tmp_path / "some-package-1.0"
    folder.mkdir()
    (folder / ".ready").touch()
    assert compat.python_of(runtime, tmp_path) == folder / "bin" / "python"
    assert compat.python_of(compat.RUNTIMES[0], tmp_path) == Path(sys.executable)
