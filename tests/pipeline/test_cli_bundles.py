"""`edgeseg`'s commands on data sets and bundles, with a real engine: what is printed, and the exit codes."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from edgeseg.export.pack import BundleInfo, VariantSource, pack
from edgeseg.pipeline import cli
from edgeseg.pipeline.text.shown import evaluate_text
from edgeseg.runtime.data.dataset import open_dataset
from edgeseg.runtime.device.selfcheck import FOLDER, probe_frame
from edgeseg.runtime.opening.bundle import Bundle
from edgeseg.runtime.score.metrics import score_image, summarize, summarize_classes
from edgeseg.runtime.score.seen import SeenImages
from edgeseg.runtime.spec.model_spec import ModelSpec


def edgeseg(*arguments: object) -> Any:
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The doctor's probes as a bundle: bright pixels are class 1."""
    specs = {name: ModelSpec.from_json(one) for name, one in json.loads((FOLDER / "specs.json").read_text()).items()}
    path = tmp_path_factory.mktemp("bundle") / "bright.edgeseg"
    variants = [VariantSource("onnx-fp32", FOLDER / "fp32.onnx", specs["fp32.onnx"])]
    info = BundleInfo("bright", "1", "tests only", specs["fp32.onnx"].input)
    pack(path, info, variants, [probe_frame()[0]])
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six frames that the probe segments almost rightly."""
    frame, mask = probe_frame()
    root = tmp_path / "data"
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    rows = []
    for index, split in enumerate(("train", "train", "val", "val", "test", "test")):
        cv2.imwrite(str(root / "images" / f"{index}.png"), np.roll(frame, index, axis=1))
        cv2.imwrite(str(root / "masks" / f"{index}.png"), np.roll(mask, index, axis=1))
        rows.append(f"{index},{split},{'odd' if index % 2 else 'even'}")
    (root / "meta.csv").write_text("\n".join(["stem,split,kind", *rows]))
    (root / "dataset.yaml").write_text("classes: [dark, bright]\ncolor: gray\n")
    return root


def test_data_check(data: Path) -> None:
    done = edgeseg("data", "check", data)
    assert done.exit_code == 0 and "no faults" in done.stdout
    (data / "masks" / "3.png").unlink()
    done = edgeseg("data", "check", data)
    assert done.exit_code == 1 and "missing mask" in done.stdout and "1 fault(s)" in done.stdout
    found = json.loads(edgeseg("data", "check", data, "--json").stdout)
    assert found["ok"] is False and found["faults"][0]["kind"] == "missing mask"


def test_init_then_check(data: Path) -> None:
    (data / "dataset.yaml").unlink()
    done = edgeseg("init", data)
    assert done.exit_code == 0 and f"edgeseg data check {data}" in done.stdout
    assert edgeseg("data", "check", data).exit_code == 0
    done = edgeseg("init", data)
    assert done.exit_code == 2 and "not overwritten" in done.stderr


def test_verify(bundle: Path, tmp_path: Path) -> None:
    done = edgeseg("verify", bundle)
    assert done.exit_code == 3 and "onnx-fp32" in done.stdout and "signature: NOT CHECKED" in done.stdout
    assert edgeseg("verify", bundle, "--allow-unsigned").exit_code == 0
    assert json.loads(edgeseg("verify", bundle, "--allow-unsigned", "--json").stdout)["ok"] is True
    broken = tmp_path / "broken.edgeseg"
    broken.write_bytes(bundle.read_bytes()[:-40])
    done = edgeseg("verify", broken)
    assert done.exit_code == 1 and done.stdout == ""


def test_predict(bundle: Path, data: Path, tmp_path: Path) -> None:
    images = sorted((data / "images").iterdir())[:2]
    done = edgeseg("predict", bundle, *images, "--out", tmp_path / "masks")
    assert done.exit_code == 0 and "onnxruntime" in done.stdout
    mask = cv2.imread(str(tmp_path / "masks" / "0.png"), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (32, 32) and np.mean(mask != probe_frame()[1]) < 0.15
    (tmp_path / "bad.png").write_bytes(b"")
    done = edgeseg("predict", bundle, tmp_path / "bad.png", images[0], "--out", tmp_path / "more", "--json")
    rows = json.loads(done.stdout)["images"]
    assert done.exit_code == 1 and [row["status"] for row in rows] == ["failed", "ok"]


def test_evaluate(bundle: Path, data: Path) -> None:
    done = edgeseg("evaluate", bundle, "--data", data, "--by", "kind")
    assert done.exit_code == 0 and "kind = odd" in done.stdout and "Dice bright" in done.stdout
    found = json.loads(edgeseg("evaluate", bundle, "--data", data, "--split", "all", "--json").stdout)
    assert found["accuracy"]["n_images"] == 6 and found["accuracy"]["dice_mean"] > 0.8
    assert edgeseg("evaluate", bundle, "--data", data, "--min-dice", "0.5").exit_code == 0
    assert edgeseg("evaluate", bundle, "--data", data, "--min-dice", "50").exit_code == 2
    done = edgeseg("evaluate", bundle, "--data", data, "--min-dice", "1.0")
    assert done.exit_code == 3 and "NO" in done.stdout
    done = edgeseg("evaluate", bundle, "--data", data, "--by", "colour")
    assert done.exit_code == 2 and "Known: group, kind, split" in done.stderr
    done = edgeseg("evaluate", bundle, "--data", data, "--split", "tset")
    assert done.exit_code == 2 and "use train, val, test, all" in done.stderr


def test_evaluate_prints_a_row_per_class_and_what_weakens_it(bundle: Path, data: Path) -> None:
    (data / "dataset.yaml").write_text("classes: [bright, dark]\ncolor: gray\npixel_mm: 0.5\n")
    for path in (data / "masks").iterdir():
        cv2.imwrite(str(path), 1 - cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
    done = edgeseg("evaluate", bundle, "--data", data)
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line.strip()}
    assert " ".join(rows["class"]) == "class Dice IoU precision recall HD95 mm region recall images pixels"
    found = json.loads(edgeseg("evaluate", bundle, "--data", data, "--json").stdout)
    bright = found["per_class"]["bright"]
    ratios = [f"{bright[key]:.3f}" for key in ("dice", "iou", "precision", "recall")]
    last = [f"{bright['hd95']['value_mm']:.2f}", f"{bright['region_recall']:.3f}", "2", str(bright["n_true_px"])]
    assert rows["bright"] == ["bright", *ratios, *last] and rows["dark"][0] == "dark"
    assert "mapped by name" in done.stdout and "columns of meta.csv not used: kind" in done.stdout
    assert "not checked: images that it was trained on: not known" in done.stdout


def test_images_that_were_trained_on_are_a_warning_on_both_outputs(bundle: Path, data: Path, tmp_path: Path) -> None:
    with Bundle.open(bundle) as opened:
        manifest, model = opened.manifest, opened.read(opened.variants[0].file)
    (tmp_path / "model.onnx").write_bytes(model)
    seen = SeenImages.of_samples(open_dataset(data).samples, "gray")
    info = BundleInfo("bright", "1", "tests only", manifest.input, seen=seen)
    variants = [VariantSource("onnx-fp32", tmp_path / "model.onnx", manifest.variants[0].spec)]
    pack(tmp_path / "seen.edgeseg", info, variants, [probe_frame()[0]])
    (data / "meta.csv").unlink()
    done = edgeseg("evaluate", tmp_path / "seen.edgeseg", "--data", data)
    for output in (done.stdout, done.stderr):
        assert "of the 6 images scored here the bundle was trained on 2 and chosen by 2" in output
    assert "not trained on or chosen by" in done.stdout and "so all images are scored" in done.stdout
    assert "train 2, val 2, test 2, unknown to bundle 0" in done.stdout
    done = edgeseg("evaluate", tmp_path / "seen.edgeseg", "--data", data, "--json")
    assert json.loads(done.stdout)["warnings"] and "warning: " in done.stderr


def test_twenty_classes_fit_a_terminal() -> None:
    names = ["background", *(f"defect kind {k}" for k in range(1, 21))]
    truth = np.arange(21, dtype=np.uint8).repeat(40).reshape(21, 40)
    scores = [score_image(np.roll(truth, 5, axis=1), truth, 21, 0.1, stem="a")]
    none = {"notes": [], "not_checked": [], "warnings": [], "columns_not_used": [], "by": {}, "seen": None}
    about = {"data": "d", "split": "all", "split_reason": "as asked", "variant": "v", "engine": "e"}
    accuracy = {"accuracy": summarize(scores, names), "per_class": summarize_classes(scores, names)}
    console = Console(width=100, file=io.StringIO(), force_terminal=False)
    console.print(evaluate_text(none | about | accuracy | {"accuracy_unseen": None}))
    lines = console.file.getvalue().splitlines()
    for name in names:
        (line,) = [one for one in lines if one.startswith(f"{name} ")]
        assert len(line.removeprefix(name).split()) == 8, "one line a class, every figure on it"
