"""The model card: what the manifest holds in words, what it does not hold said to be missing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from edgeseg.export.model_card import model_card
from edgeseg.export.pack import BundleInfo, VariantSource, pack
from edgeseg.runtime.device.verify import verify_bundle
from edgeseg.runtime.opening.bundle import CARD_ENTRY, Bundle
from edgeseg.runtime.spec.manifest import Manifest

from ..runtime.conftest import tiny_spec, write_tiny_onnx

_ACCURACY = {
    "dice_mean": 0.5, "dice": {"scratch": 0.25}, "region_recall": None, "n_images": 4, "n_groups": 3,
    "dice_interval": {"lo95": 0.375, "hi95": 0.625},
}  # fmt: skip
_DATA = {
    "name": "parts", "licence": "CC-BY-4.0", "may_redistribute": False, "n_images": 12, "n_groups": 6,
    "counts": {"train": {"images": 8, "groups": 3}, "test": {"images": 4, "groups": 3}},
}  # fmt: skip
_WEIGHTS = {"of": "student", "name": "lite0", "licence": "Apache-2.0", "trained_on": "ImageNet", "source": "a|b"}
_TARGETS = (
    {"target": "x86-ort", "status": "ok", "total_p50_ms": 1.25},
    {"target": "arm64-ort", "status": "ok"},
    {"target": "x86-litert", "status": "refused", "reason": "too slow"},
)


@pytest.fixture
def packed(tmp_path: Path) -> tuple[Path, Manifest]:
    """A bundle of one file, all of whose facts are stated."""
    spec = tiny_spec()
    model = write_tiny_onnx(tmp_path / "model.onnx", spec)
    source = VariantSource("onnx-fp32", model, spec, accuracy={"test": _ACCURACY}, measured=_TARGETS)
    info = BundleInfo("part", "3", "scratches on <rings>", spec.input, data=(_DATA,), pretrained=(_WEIGHTS,))
    path = tmp_path / "part.edgeseg"
    return path, pack(path, info, [source], [np.zeros((32, 32), np.uint8)])


def test_a_bundle_carries_its_card_under_its_hashes(packed: tuple[Path, Manifest]) -> None:
    path, manifest = packed
    with Bundle.open(path) as bundle:
        assert bundle.read(CARD_ENTRY).decode() == model_card(manifest)
    assert verify_bundle(path, allow_unsigned=True)["ok"]


def test_the_card_states_use_data_weights_and_figures_with_their_interval(packed: tuple[Path, Manifest]) -> None:
    _, manifest = packed
    card = model_card(manifest)
    assert manifest.bundle_id in card and manifest.variants[0].sha256 in card
    assert "scratches on &lt;rings>" in card
    assert "| licence | CC-BY-4.0 |" in card and "| may be redistributed | no |" in card
    assert "train 8 images of 3 groups, test 4 images of 3 groups" in card
    assert r"| student | lite0 | Apache-2.0 | ImageNet | a\|b | not stated |" in card
    assert "| onnx-fp32 | test | 4 | 3 | 0.500 (0.375 to 0.625) | scratch 0.250 | not known | not known |" in card


def test_the_card_claims_no_time_of_a_device_that_was_not_touched(packed: tuple[Path, Manifest]) -> None:
    _, manifest = packed
    card = model_card(manifest)
    assert "| onnx-fp32 | x86-ort | 1.250 ms |  |" in card
    assert "| onnx-fp32 | arm64-ort | not measured |  |" in card
    assert "| onnx-fp32 | x86-litert | refused, not measured | too slow |" in card
    assert "No variant of this bundle is for litert" in card


def test_the_card_of_a_file_from_elsewhere_says_what_nobody_knows(packed: tuple[Path, Manifest]) -> None:
    _, manifest = packed
    foreign = dataclasses.replace(manifest, data=({**_DATA, "used_for": "scores"},), pretrained=())
    card = model_card(foreign)
    assert "what it was trained on is not known" in card and "Not known: the files were packed" in card
    assert "Which images its maker chose it by is not known" in card and "Choices were made on val" not in card
    assert "trained from scratch" in model_card(dataclasses.replace(manifest, pretrained=()))
