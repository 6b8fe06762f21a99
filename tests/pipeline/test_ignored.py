"""Pixels that do not count, in what the chain does beside training: init, folds, INT8 trials, reports, a whole run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from edgeseg.compress.calibration.images import calibration_tensors
from edgeseg.export.mask_agreement import agreement
from edgeseg.pipeline import cli
from edgeseg.pipeline.chain.provenance import data_summary
from edgeseg.pipeline.commands.init import init_folder, init_text
from edgeseg.pipeline.crossval.folds import divide, write_fold
from edgeseg.pipeline.int8.scored_patient import ScoredPatient
from edgeseg.pipeline.report.crop import Window
from edgeseg.pipeline.report.drawing import draw_errors, draw_frame, draw_mask
from edgeseg.pipeline.report.image_rank import Faults
from edgeseg.pipeline.report.panels import Panel, panels_section
from edgeseg.pipeline.report.record import data_table
from edgeseg.runtime.data.check import check_dataset
from edgeseg.runtime.data.dataset import DataSet, content_hash, open_dataset
from edgeseg.runtime.data.ignored import IGNORED
from edgeseg.runtime.device.selfcheck import FOLDER, probe_frame
from edgeseg.runtime.errors import DataError
from edgeseg.runtime.files.png import PackedMasks
from edgeseg.runtime.score.evaluate import load_scores
from edgeseg.runtime.spec.input_spec import Geometry, InputSpec
from edgeseg.runtime.spec.model_spec import ModelSpec
from edgeseg.train.synthetic.dataset import write_dataset

UNSURE = 200  # what marks the pixels in these files; 255 is their foreground

# init


def _folder(root: Path, *values: int, about: str = "", n: int = 4) -> Path:
    """Masks of 0 with a square of 20x20 of each value; the last image has the last value alone."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for index in range(n):
        mask = np.zeros((64, 96), np.uint8)
        for place, value in enumerate(values):
            if index < n - 1 or value == values[-1]:
                mask[10:30, 2 + 24 * place : 22 + 24 * place] = value
        cv2.imwrite(str(root / "images" / f"{index}.png"), np.random.default_rng(index).integers(0, 256, mask.shape))
        cv2.imwrite(str(root / "masks" / f"{index}.png"), mask)
    if about:
        (root / "dataset.yaml").write_text(about)
    return root


def _said(report: dict[str, Any]) -> str:
    return "\n".join(map(str, init_text(report).renderables))  # type: ignore[attr-defined]


@pytest.mark.parametrize("values", [(1, 255), (1, 2, 255)])
def test_init_takes_255_beside_ids_for_ignored(values: tuple[int, ...], tmp_path: Path) -> None:
    root = _folder(tmp_path / "d", *values)
    told: list[tuple[int, int]] = []
    report = init_folder(root, lambda *step: told.append(step))
    assert "\nignore: 255 #" in (root / "dataset.yaml").read_text()
    assert "pixels of 255 in the masks do not count" in _said(report)
    data = open_dataset(root)
    assert data.ignore == 255 and len(data.classes) == len(values) and check_dataset(root) == []
    assert report["found"]["negative"] == 1, "an image of ignored pixels alone has no foreground"
    assert told[-1] == (4, 4)


def test_init_says_what_it_took_0_and_255_for(tmp_path: Path) -> None:
    root = _folder(tmp_path / "d", 255)
    assert "255 is taken for the foreground; if it marks pixels to leave out" in _said(init_folder(root))
    assert open_dataset(root).ignore is None and "\n# ignore: 255" in (root / "dataset.yaml").read_text()
    assert init_folder(_folder(tmp_path / "e", 1, 2))["notes"] == []


def test_init_reads_masks_as_the_description_that_is_there_says(tmp_path: Path) -> None:
    about = "classes: [good, pit]\ncolor: gray\n"
    report = init_folder(_folder(tmp_path / "a", 255, 128, about=f"{about}ignore: 128\n"))
    assert report["found"]["negative"] == 1 and report["notes"] == [
        "pixels of 128 in the masks do not count (ignore: 128 in dataset.yaml)"
    ]
    report = init_folder(_folder(tmp_path / "b", 1, 255, about=about))
    assert report["notes"] == ["masks hold 255 beside class ids: if it marks pixels to leave out, add ignore: 255"]
    with pytest.raises(DataError, match=r"every mask holds the value 0 alone; .* the key ignore"):
        init_folder(_folder(tmp_path / "c", 255, about=f"{about}ignore: 255\n"))
    with pytest.raises(
        DataError, match=r"the values 0, 128, 255; .* write a dataset\.yaml with .* ignore: VALUE first"
    ):
        init_folder(_folder(tmp_path / "d", 255, 128))


# Folds, calibration


def test_folds_hand_the_key_on_and_ignored_pixels_are_no_class_to_spread(tmp_path: Path) -> None:
    about = "classes: [good, pit]\ncolor: gray\n"
    roots = [
        _folder(tmp_path / "a", 1, about=f"{about}ignore: 255\n", n=9),
        _folder(tmp_path / "b", 1, about=about, n=9),
    ]
    without = open_dataset(roots[1])
    splits = divide(without, 3, seed=0)
    for stem in (stem for stem, split in splits[0].items() if split == "test"):  # a class of these would be spread
        path = roots[0] / "masks" / f"{stem}.png"
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        mask[50:] = 255
        cv2.imwrite(str(path), mask)
    ignoring = open_dataset(roots[0])
    assert divide(ignoring, 3, seed=0) == splits
    fold = open_dataset(write_fold(tmp_path / "fold", ignoring, splits[0]))
    assert fold.ignore == 255 and content_hash(fold) == content_hash(ignoring)


def test_calibration_takes_the_tile_of_most_foreground_not_of_most_ignored_pixels(tmp_path: Path) -> None:
    root = _folder(tmp_path / "d", 1, about="classes: [good, pit]\ncolor: gray\nignore: 255\n")
    for path in (root / "masks").iterdir():
        mask = np.zeros((64, 320), np.uint8)
        mask[:, :64], mask[10:20, 270:280] = 255, 1
        cv2.imwrite(str(path), mask)
        cv2.imwrite(str(root / "images" / path.name), np.tile(np.arange(320) // 2, (64, 1)))
    data = open_dataset(root)
    spec = InputSpec("gray", Geometry("tile", tile_px=64, overlap_px=0), 32)
    (tiles,) = calibration_tensors(data, data.samples[:1], spec)
    assert len(tiles) == 2 and [int(tile.min()) for tile in tiles] == [64, 128], "the middle one and the defect's"


# Files on trial, with a real engine


@pytest.fixture(scope="module")
def bright(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """Frames whose bright half is class 1; a stripe is unclear, and labelled at random elsewhere than it is bright."""
    frame, mask = probe_frame()
    root = tmp_path_factory.mktemp("bright")
    for name in ("images", "masks"):
        (root / name).mkdir()
    rows = []
    for index, split in enumerate(("train", "val", "val", "test")):
        unclear = np.roll(mask, index, axis=1) * np.uint8(255)
        unclear[index : index + 9] = UNSURE
        cv2.imwrite(str(root / "images" / f"{index}.png"), np.roll(frame, index, axis=1))
        cv2.imwrite(str(root / "masks" / f"{index}.png"), unclear)
        rows.append(f"{index},{split}")
    (root / "meta.csv").write_text("\n".join(["stem,split", *rows]))
    (root / "dataset.yaml").write_text(f"classes: [dark, bright]\ncolor: gray\nignore: {UNSURE}\n")
    return open_dataset(root)


@pytest.fixture
def spec() -> ModelSpec:
    return ModelSpec.from_json(json.loads((FOLDER / "specs.json").read_text())["fp32.onnx"])


def test_the_doctor_s_pixels_that_differ_are_those_that_count(bright: DataSet, spec: ModelSpec, tmp_path: Path) -> None:
    file = (FOLDER / "fp32.onnx", spec)
    patient = SimpleNamespace(data=bright, float_model=file[0], float_spec=spec, identity="one")
    scored = ScoredPatient(patient, tmp_path, images=0)  # type: ignore[arg-type]
    same = scored.run(file, scored.samples)
    counted = sum(int((one.tp + one.fn).sum()) for one in same.images)
    assert same.differs == 0.0 and scored.confusion().sum() == counted
    packed = PackedMasks()
    for mask in scored._float.masks:  # the float file says something else on one pixel that counts
        mask[-1, -1] ^= 1
        packed.add(mask)
    scored._float = dataclasses.replace(scored._float, masks=packed)
    assert scored.run(file, scored.samples).differs == len(scored.samples) / counted
    assert scored.run(file, scored.samples[1:2]).differs == 1 / sum((same.images[1].tp + same.images[1].fn).tolist())


# The report


def _panel(shipped_there: int) -> Panel:
    frame = np.random.default_rng(0).integers(0, 256, (96, 128), np.uint8)
    truth = np.zeros((96, 128), np.uint8)
    truth[30:60, 30:60] = 1
    truth[:, 90:] = IGNORED
    shipped = np.roll(truth, 4, axis=1)
    shipped[:, 90:] = shipped_there
    return Panel(
        "part", frame, truth, np.where(truth == IGNORED, np.uint8(0), truth), shipped, 0.8, Faults(0, 0, 240), True
    )


def test_pictures_show_ignored_pixels_and_no_error_there() -> None:
    """Whatever a network says there, the pictures are the same; the legend has a word for the gray."""
    pages = [str(panels_section([_panel(there)], ["pit"])) for there in (0, 1, IGNORED)]
    assert pages[0] == pages[1] == pages[2] and "gray, hatched: ignored, counts nowhere" in pages[0]
    assert "wrong class" not in pages[0], "255 is no second class"
    panel = _panel(0)
    clear = Panel(
        panel.stem, panel.frame, panel.teacher, panel.teacher, np.roll(panel.teacher, 4, 1), 0.8, panel.faults, True
    )
    page = str(panels_section([clear], ["pit"]))
    assert "ignored" not in page and page != pages[0]


def test_what_is_ignored_is_hatched_in_every_picture_of_a_mask() -> None:
    panel = _panel(1)
    whole = Window(0, 0, 128, 96)
    blank = np.zeros_like(panel.truth)
    for drawn in (
        draw_mask(panel.frame, panel.truth, whole),
        draw_errors(panel.frame, panel.teacher, panel.truth, whole),
    ):
        plain = draw_frame(panel.frame, whole)
        assert (drawn != plain)[:, 240:].any(axis=2).mean() > 0.9, "grayed all over"
        assert not (drawn != plain)[:60, :200].any(), "and nothing else"
    assert np.array_equal(draw_mask(panel.frame, blank, whole), draw_errors(panel.frame, blank, blank, whole))


def test_a_large_frame_is_cut_and_counted_where_pixels_count() -> None:
    """The part shown is the one around the object, not around what was said of ignored pixels."""
    truth = np.zeros((200, 1500), np.uint8)
    truth[90:110, 90:110], truth[:, 700:] = 1, IGNORED
    shipped = np.where(truth == 1, truth, np.uint8(0))
    shipped[0, 5] = 1  # one false pixel outside of the part shown
    shipped[:, 800:] = 1
    panel = Panel("part", np.full(truth.shape, 90, np.uint8), truth, shipped, shipped, 0.9, Faults(0, 0, 1), True)
    page = str(panels_section([panel], ["pit"]))
    assert "176 × 176 px of 1500 × 200 px" in page
    assert "wrong pixels are in this part" not in page, "the one wrong pixel is in it"


def test_the_report_names_the_ignored_share(bright: DataSet, synthetic_data: DataSet) -> None:
    summary = data_summary(bright)
    assert summary["ignore"] == UNSURE
    masks = [sample.read_truth(2) for sample in bright.samples]
    assert summary["ignored_share"] == np.mean([mask == IGNORED for mask in masks])
    page = str(data_table({"data": summary}))
    assert f"{100 * summary['ignored_share']:.2g} % of the pixels are ignored (value 200 in the masks)" in page
    assert not {"ignore", "ignored_share"} & data_summary(synthetic_data).keys()
    assert "ignored" not in str(data_table({"data": data_summary(synthetic_data)}))


# A whole training through the command line

RECIPE = """\
name: tiny
data: {name: metal}
geometry: {mode: resize, height_px: 64, width_px: 64}
train: {batch_size: 4, validate_every: 1, threads: 1, precision: float32, workers: 0, loss: {terms: ce+dice+regions}}
reference: {base: 4}
teacher: {base: 4, epochs: 2}
"""


@pytest.mark.slow
def test_a_run_is_the_same_whatever_marks_them(tmp_path: Path) -> None:
    """Two copies of a data set, whose files mark the same pixels by different values: network and scores are equal."""
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    outputs, scores = [], []
    for value in (255, 9):
        root = tmp_path / f"data_{value}"
        write_dataset(root, n=16, seed=0, size_px=64)
        for path in (root / "masks").iterdir():
            mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            mask[(cv2.dilate(mask, np.ones((7, 7), np.uint8)) > 0) & (mask == 0)] = value
            cv2.imwrite(str(path), mask)
        with (root / "dataset.yaml").open("a") as about:
            about.write(f"ignore: {value}\n")
        command = [
            "run",
            tmp_path / "tiny.yaml",
            "--data",
            root,
            "--out",
            tmp_path / f"{value}",
            "--only",
            "val_teacher",
        ]
        done = CliRunner().invoke(cli.app, [str(word) for word in command])
        assert done.exit_code == 0, done.output
        assert "[3/3] val_teacher" in done.stderr  # of the steps that --only asks for, not of the whole chain
        steps = tmp_path / f"{value}" / "tiny" / "steps"
        outputs.append((steps / "teacher" / "files" / "model.safetensors").read_bytes())
        scores.append((steps / "val_teacher" / "files" / "scores.json").read_text())
    assert outputs[0] == outputs[1] and scores[0] == scores[1]
    samples = {sample.stem: sample.read_truth(4) for sample in open_dataset(root).split("val")}
    for score in load_scores(steps / "val_teacher" / "files" / "scores.json"):
        truth = samples[score.stem]
        assert (score.tp + score.fn).tolist() == [np.sum(truth == k) for k in range(4)]
        kept = cv2.imread(str(steps / "val_teacher/files/masks" / f"{score.stem}.png"), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(kept == IGNORED, truth == IGNORED)
    (tmp_path / "other").mkdir()
    for path in (steps / "val_teacher" / "files" / "masks").iterdir():
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(tmp_path / "other" / path.name), np.where(mask == IGNORED, mask, (mask + 1) % 4))
    assert agreement(steps / "val_teacher" / "files" / "masks", tmp_path / "other") == 0.0
