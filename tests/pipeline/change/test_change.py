"""The change record: what two manifests say differently, and on the same images every mask that is another."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from edgeseg.export.pack import BundleInfo, VariantSource, pack
from edgeseg.export.signing.keys import generate
from edgeseg.export.signing.sign import sign
from edgeseg.pipeline import cli
from edgeseg.pipeline.change.manifests import manifest_changes
from edgeseg.runtime.data.dataset import content_hash, open_dataset
from edgeseg.runtime.segmenter import Segmenter
from edgeseg.runtime.spec.manifest import Decision, Manifest
from edgeseg.runtime.spec.model_spec import ModelSpec

from ...runtime.conftest import tiny_onnx  # noqa: F401  fixture

_DATA = {"name": "parts", "content_sha256": "0" * 64, "n_images": 4, "counts": {"train": {"images": 4, "groups": 2}}}
# Bright squares of 16 px on black, by image. The old bundle sees values above 170, the new one those above 214.
_SQUARES = {"both": (240,), "old_only": (200,), "none": (), "partly": (240, 200)}


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two bundles of one network with another threshold, and a data set whose truth is what the old one sees."""

    old: Path
    new: Path
    data: Path
    manifests: tuple[Manifest, Manifest]


@pytest.fixture(scope="module")
def pair(
    tiny_onnx: Callable[..., tuple[Path, ModelSpec]],  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Pair:
    root = tmp_path_factory.mktemp("pair")
    model, spec = tiny_onnx(activation="sigmoid")
    fitted = dataclasses.replace(spec, decision=Decision(0.9, "val", "recall", 20))
    old = BundleInfo("part", "1", "tests", spec.input, spec.decision, (_DATA,), recipe_sha256="a" * 64)
    frames = [np.zeros((32, 32), np.uint8)]
    first = pack(root / "old.edgeseg", old, [VariantSource("onnx-fp32", model, spec)], frames)
    new = dataclasses.replace(
        old,
        bundle_version="2",
        decision=fitted.decision,
        data=({**_DATA, "n_images": 5, "counts": {"train": {"images": 5, "groups": 2}}},),
        previous_bundle=first.bundle_id,
        recipe_sha256="b" * 64,
    )
    times = ({"target": "x86-ort", "total_p50_ms": 2.0},)
    both = [
        VariantSource("onnx-fp32", model, fitted, {"test": {"dice_mean": 0.5}}, measured=times),
        VariantSource("openvino-fp32", model, fitted),
    ]
    second = pack(root / "new.edgeseg", new, both, frames)
    data = root / "data"
    with Segmenter.open(root / "old.edgeseg") as segmenter:
        for folder in ("images", "masks"):
            (data / folder).mkdir(parents=True)
        for name, values in _SQUARES.items():
            frame = np.zeros((32, 64), np.uint8)
            for index, value in enumerate(values):
                frame[8:24, 8 + 32 * index : 24 + 32 * index] = value
            cv2.imwrite(str(data / "images" / f"{name}.png"), frame)
            cv2.imwrite(str(data / "masks" / f"{name}.png"), segmenter(frame).mask)
    (data / "dataset.yaml").write_text("classes: [good, bright]\ncolor: gray\n")
    return Pair(root / "old.edgeseg", root / "new.edgeseg", data, (first, second))


def diff(*arguments: object) -> Any:
    return CliRunner().invoke(cli.app, ["diff", *map(str, arguments)])


def test_every_value_of_consequence_is_told_with_both_sides(pair: Pair) -> None:
    found = {(one.area, one.of, one.what): (one.old, one.new) for one in manifest_changes(*pair.manifests)}
    decision = {"value": (0.5, 0.9), "fitted_on": (None, "val"), "objective": (None, "recall"), "min_area_px": (1, 20)}
    variant = {f"spec.decision.{key}": values for key, values in decision.items()}
    variant |= {"accuracy.test.dice_mean": (None, 0.5), "measured.x86-ort.total_p50_ms": (None, 2.0)}
    variant |= {"measured.x86-ort.status": (None, "ok")}
    sha256 = pair.manifests[1].variants[1].sha256
    assert found == {
        ("bundle", None, "bundle_version"): ("1", "2"),
        ("recipe", None, "recipe_sha256"): ("a" * 64, "b" * 64),
        ("data", "parts", "n_images"): (4, 5),
        ("data", "parts", "counts.train.images"): (4, 5),
        **{("thresholds", None, f"decision.{key}"): values for key, values in decision.items()},
        **{("variants", "onnx-fp32", key): values for key, values in variant.items()},
        ("variants", "openvino-fp32", "added"): (None, sha256),
    }
    back = manifest_changes(*reversed(pair.manifests))
    assert [one.what for one in back if one.of == "openvino-fp32"] == ["removed"]
    assert manifest_changes(pair.manifests[0], pair.manifests[0]) == []


def test_every_image_with_another_decision_or_mask_is_listed(pair: Pair) -> None:
    done = diff(pair.old, pair.new, "--data", pair.data, "--variant", "onnx-fp32", "--json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["replaces"] is True
    paired = record["paired"]
    flips = {one["image"]: (one["decision_old"], one["decision_new"]) for one in paired["flipped"]}
    # The square of 240 shrinks by its blurred rim, too, so that its mask is another though its decision is not.
    assert flips == {"old_only": ("reject", "good"), "partly": ("reject", "reject"), "both": ("reject", "reject")}
    assert [one["image"] for one in paired["flipped"]] == ["old_only", "partly", "both"]
    assert (paired["n_decisions_flipped"], paired["n_masks_flipped"], paired["n_images"]) == (1, 3, 4)
    masks = {}
    for side, path in (("old", pair.old), ("new", pair.new)):
        with Segmenter.open(path, "onnx-fp32") as segmenter:
            frames = {name: cv2.imread(str(pair.data / "images" / f"{name}.png"), 0) for name in _SQUARES}
            masks[side] = {name: segmenter(frame).mask for name, frame in frames.items()}
    for one in paired["flipped"]:
        assert one["differing_share"] == np.mean(masks["old"][one["image"]] != masks["new"][one["image"]])
    true, seen = (sum(int(mask.sum()) for mask in masks[side].values()) for side in ("old", "new"))
    assert paired["dice_drop"]["mean"] == pytest.approx(1 - 2 * seen / (true + seen))
    assert paired["dice_drop"]["lo95"] < paired["dice_drop"]["mean"] < paired["dice_drop"]["hi95"]


def test_the_record_is_kept_as_markdown_and_as_json(pair: Pair, tmp_path: Path) -> None:
    for name in ("record.md", "record.json"):
        done = diff(pair.old, pair.new, "--data", pair.data, "--variant", "onnx-fp32", "--out", tmp_path / name)
        assert done.exit_code == 0, done.output
        assert "reject -> good" in done.stdout and "1 of 4 images are decided otherwise" in done.stdout
    text = (tmp_path / "record.md").read_text()
    assert "| recipe | recipe_sha256 | " + "a" * 64 in text
    assert "| old_only | old_only | reject -> good |" in text and "## Changed: thresholds" in text
    assert json.loads((tmp_path / "record.json").read_text())["schema_version"] == 1


def test_without_images_it_says_so_and_the_same_bundle_has_no_changes(pair: Pair) -> None:
    done = diff(pair.old, pair.old)
    assert done.exit_code == 0
    assert (
        "the same bundle" in done.stdout
        and "not signed" in done.stdout
        and "Not compared: no images were given" in done.stdout
    )
    back = diff(pair.new, pair.old).stdout
    assert "does NOT name the old one" in back and "The same in both manifests: input, weights." in back


def test_who_reads_it_can_tell_which_files_and_images_it_is_of(pair: Pair, tmp_path: Path) -> None:
    signed = tmp_path / "signed.edgeseg"
    shutil.copy(pair.new, signed)
    generate(tmp_path / "a.key")
    key = sign(signed, tmp_path / "a.key", "quality", date(2026, 11, 28)).statement.key
    # Images without one clean frame, where false regions on clean frames cannot be counted.
    data = tmp_path / "data"
    shutil.copytree(pair.data, data)
    for folder in ("images", "masks"):
        (data / folder / "none.png").unlink()
    done = diff(pair.old, signed, "--data", data, "--out", tmp_path / "record.json")
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "record.json").read_text())
    with zipfile.ZipFile(signed) as archive:
        assert record["new"]["sums_sha256"] == hashlib.sha256(archive.read("SHA256SUMS")).hexdigest()
    assert record["new"]["signed"] == [{"role": "quality", "date": "2026-11-28", "key_id": key.key_id}]
    content = content_hash(open_dataset(data))
    assert record["paired"]["content_sha256"] == content
    text = " ".join(done.stdout.split())
    for words in (
        record["created"],
        f"signed as quality on 2026-11-28 by key {key.key_id}",
        record["old"]["sums_sha256"],
    ):
        assert words in text
    assert content in text and "the data of neither bundle" in text
    assert "not estimable (0 negatives)" in text and "bright 1.000" in text


def test_what_cannot_be_compared_is_refused(pair: Pair, tiny_onnx: Any, tmp_path: Path) -> None:  # noqa: F811
    model, spec = tiny_onnx()
    other = tmp_path / "other.edgeseg"
    info = BundleInfo("part", "1", "tests", spec.input)
    pack(other, info, [VariantSource("onnx-fp32", model, spec)], [np.zeros((32, 32), np.uint8)])
    done = diff(pair.old, other, "--data", pair.data)
    assert done.exit_code == 2 and "other classes" in done.stderr and "leave out --data" in done.stderr
    assert "variants" in diff(pair.old, other).stdout
    for wrong, word in (
        (("--split", "test"), "give --data"),
        (("--data", pair.data, "--split", "tset"), "--split is 'tset'"),
        (("--out", tmp_path / "record.txt"), ".md or .json"),
    ):
        done = diff(pair.old, pair.new, *wrong)
        assert done.exit_code == 2 and word in done.stderr
    done = diff(pair.old, tmp_path / "absent.edgeseg")
    assert done.exit_code == 1 and "absent.edgeseg" in done.stderr
