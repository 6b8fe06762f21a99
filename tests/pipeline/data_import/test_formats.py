"""Every format from the files of its own tools, and the cases that other importers get wrong."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.runtime.data.check import check_dataset
from edgeseg.runtime.data.dataset import open_dataset
from edgeseg.runtime.data.imagefile import read_image

from .sources import SAMPLES, SHAPE, SQUARE, coco, imported, labelme, mask, picture, reasons, refused, square


def truth(name: str) -> Any:
    return cv2.imread(str(SAMPLES / f"{name}.png"), cv2.IMREAD_UNCHANGED)


def counts(ids: Any) -> list[int]:
    return np.bincount(ids.ravel(), minlength=4).tolist()


@pytest.mark.parametrize("kind", ["labelme", "coco", "cvat", "yolo", "palette"])
def test_what_is_made_opens_as_a_data_set(kind: str, tmp_path: Path) -> None:
    report = imported(kind, SAMPLES / kind, tmp_path / "new", "--boxes")
    data = open_dataset(tmp_path / "new")
    assert len(data.samples) == report["images"] and list(data.classes) == [one["name"] for one in report["classes"]]
    # The images are the very files.
    given = {path.read_bytes() for path in (SAMPLES / kind).rglob("*") if path.is_file()}
    assert all(sample.image.read_bytes() in given for sample in data.samples)
    assert not {fault.kind for fault in check_dataset(tmp_path / "new")} - {"empty split", "no positives"}
    assert report["next"][0] == f"edgeseg data check {tmp_path / 'new'}"


def test_coco_masks_are_those_of_pycocotools(tmp_path: Path) -> None:
    imported("coco", SAMPLES / "coco", tmp_path / "new", "--crowds")
    found, expected = mask(tmp_path / "new", "part0"), truth("coco_truth_part0")
    assert (found != expected).sum() <= 1  # of a slanted edge, which pycocotools draws on a grid of a fifth of a pixel
    assert np.array_equal(found == 1, expected == 1) and np.array_equal(found == 3, expected == 3)


def test_crowds_and_boxes_are_told_and_do_not_pass_for_background(tmp_path: Path) -> None:
    report = imported("coco", SAMPLES / "coco", tmp_path / "new")
    found = mask(tmp_path / "new", "part0")
    assert (found == 255).sum() == 80 and open_dataset(tmp_path / "new").ignore == 255
    told = " ".join(reasons(report))
    assert "crowds (iscrowd)" in told and "boxes without an outline" in told
    assert reasons(report, "noted")["images with objects that are not taken: background there"] == 1
    assert report["splits"] == {"train": 1, "val": 2, "test": 0}


def test_crowds_of_any_file_lie_below_objects(tmp_path: Path) -> None:
    picture(tmp_path / "src" / "a.png")
    image = {"id": 1, "file_name": "a.png"}
    crowd = SQUARE | {"segmentation": [[0, 0, 20, 0, 20, 15, 0, 15]], "iscrowd": 1}
    coco(tmp_path / "src", [image], [SQUARE], "a.json")
    coco(tmp_path / "src", [image], [crowd], "b.json")
    imported("coco", tmp_path / "src", tmp_path / "new")
    found = mask(tmp_path / "new", "a")
    assert np.array_equal(found == 1, square((20, 30)) == 1) and (found == 255).sum() == 15 * 20 - 50


def test_cvat_shapes(tmp_path: Path) -> None:
    report = imported("cvat", SAMPLES / "cvat", tmp_path / "new")
    assert report["objects"] == {"box": 1, "mask": 1, "polygon": 2}
    assert counts(mask(tmp_path / "new", "part0"))[1:] == [140, 144, 80]
    assert np.array_equal(mask(tmp_path / "new", "part0") == 3, truth("coco_truth_part0") == 3)
    assert (mask(tmp_path / "new", "part1")[4:10, 3:13] == 2).all() and counts(mask(tmp_path / "new", "part1"))[2] == 60


def test_labelme_shapes(tmp_path: Path) -> None:
    report = imported("labelme", SAMPLES / "labelme", tmp_path / "new", "--classes", "scratch,dent,ring")
    assert [one["name"] for one in report["classes"]] == ["background", "scratch", "dent", "ring"]
    for stem in ("part0", "part1"):
        found, drawn = mask(tmp_path / "new", stem), truth(f"labelme_truth_{stem}")
        # labelme draws outlines a pixel thick around what they enclose; all that lies within is the same.
        any_drawn, around = (drawn > 0).astype(np.uint8), np.ones((3, 3), np.uint8)
        inner, outer = cv2.erode(any_drawn, around) > 0, cv2.dilate(any_drawn, around) == 0
        assert np.array_equal(found[inner], drawn[inner]) and not found[outer].any()
    assert np.array_equal(mask(tmp_path / "new", "part0") == 3, truth("labelme_truth_part0") == 3)
    assert reasons(report)["shapes without an area: line"] == 1


def test_yolo_outlines_and_boxes(tmp_path: Path) -> None:
    report = imported("yolo", SAMPLES / "yolo", tmp_path / "new", "--boxes")
    assert counts(mask(tmp_path / "new", "part0"))[1] == 140 and report["objects"] == {"box": 1, "polygon": 2}
    assert (mask(tmp_path / "new", "part1")[4:10, 3:13] == 2).all()
    assert report["splits"] == {"train": 1, "val": 2, "test": 0}


def test_images_without_annotation_are_told_and_can_be_left_out(tmp_path: Path) -> None:
    report = imported("yolo", SAMPLES / "yolo", tmp_path / "new")
    assert report["unannotated"] == 1 and not mask(tmp_path / "new", "part2").any()
    left = imported("yolo", SAMPLES / "yolo", tmp_path / "less", "--skip-unannotated")
    assert left["images"] == 2 and not (tmp_path / "less" / "masks" / "part2.png").exists()


def test_the_later_object_lies_over_the_earlier(tmp_path: Path) -> None:
    picture(tmp_path / "src" / "a.png")
    over = SHAPE | {"label": "rim", "points": [[6, 0], [20, 0], [20, 20], [6, 20]]}
    labelme(tmp_path / "src" / "a.json", "a.png", [SHAPE, over])
    report = imported("labelme", tmp_path / "src", tmp_path / "new")
    found = mask(tmp_path / "new", "a")
    assert (found == 1).sum() == 20 and (found == 2).sum() == 14 * 20
    assert any("drawn over" in reason for reason in reasons(report, "noted"))


def test_cvat_draws_by_z_order_and_keeps_the_subset(tmp_path: Path) -> None:
    picture(tmp_path / "src" / "images" / "train" / "a.png")
    picture(tmp_path / "src" / "images" / "val" / "a.png", level=30)
    low = '<polygon label="low" points="0,0;9,0;9,9;0,9" z_order="{}"/>'
    high = '<ellipse label="high" cx="5" cy="5" rx="4" ry="4" z_order="{}"/>'
    image = '<image id="{}" name="a.png" subset="{}" width="30" height="20">{}</image>'
    images = image.format(0, "train", high.format(2) + low.format(1)) + image.format(
        1, "val", high.format(0) + low.format(0)
    )
    (tmp_path / "src" / "annotations.xml").write_text(f"<annotations><!-- made by hand -->{images}</annotations>")
    report = imported("cvat", tmp_path / "src", tmp_path / "new")
    names = [one["name"] for one in report["classes"]]
    first, second = mask(tmp_path / "new", "images_train_a"), mask(tmp_path / "new", "images_val_a")
    assert first[5, 5] == names.index("high") and second[5, 5] == names.index("low")
    assert "images_train_a,train" in (tmp_path / "new" / "meta.csv").read_text()
    assert sum(reasons(report, "noted").values()) >= 2


def test_labelme_holds_the_image_itself(tmp_path: Path) -> None:
    held = picture(tmp_path / "else" / "a.png").read_bytes()
    text = base64.b64encode(held).decode()
    labelme(tmp_path / "src" / "sub" / "a.json", "..\\..\\else\\a.png", [SHAPE], imageData=text)
    imported("labelme", tmp_path / "src", tmp_path / "new")
    assert (tmp_path / "new" / "images" / "a.png").read_bytes() == held
    assert np.array_equal(mask(tmp_path / "new", "a"), square((20, 30)))


def test_labelme_words_for_background_and_ignored(tmp_path: Path) -> None:
    picture(tmp_path / "src" / "a.png")
    hole = SHAPE | {"label": "_background_", "points": [[4, 4], [6, 4], [6, 6], [4, 6]]}
    doubt = SHAPE | {"label": "__ignore__", "points": [[20, 0], [30, 0], [30, 5], [20, 5]]}
    labelme(tmp_path / "src" / "a.json", "a.png", [SHAPE, hole, doubt])
    report = imported("labelme", tmp_path / "src", tmp_path / "new")
    assert [one["name"] for one in report["classes"]] == ["background", "hole"] and report["ignore"] == 255
    assert counts(mask(tmp_path / "new", "a"))[1] == 46 and (mask(tmp_path / "new", "a")[:5, 20:] == 255).all()


def test_classes_choose_and_order(tmp_path: Path) -> None:
    report = imported("yolo", SAMPLES / "yolo", tmp_path / "new", "--classes", "dent")
    assert [one["name"] for one in report["classes"]] == ["background", "dent"]
    assert reasons(report)["objects of a class that is not taken: scratch"] == 1


def test_names_that_yaml_reads_otherwise_stay(tmp_path: Path) -> None:
    picture(tmp_path / "src" / "a.png")
    labels = ["no", "007", "a: b", "Öl", "null"]
    labelme(tmp_path / "src" / "a.json", "a.png", [SHAPE | {"label": label} for label in labels])
    imported("labelme", tmp_path / "src", tmp_path / "new")
    assert open_dataset(tmp_path / "new").classes == ("background", *sorted(labels))


@pytest.mark.parametrize("train", ["../train/images", "train/images", "train.txt", ["train/images"]])
def test_yolo_paths_of_roboflow_and_lists(train: Any, tmp_path: Path) -> None:
    source = tmp_path / "src"
    for split, name in (("train", "a"), ("valid", "b")):
        picture(source / split / "images" / f"{name}.jpg")
        (source / split / "labels").mkdir()
        (source / split / "labels" / f"{name}.txt").write_text("0 0.1 0.1 0.5 0.1 0.5 0.5\n")
    (source / "train.txt").write_text("./train/images/a.jpg\n")
    text = {"train": train, "val": "../valid/images", "nc": 1, "names": ["hole"]}
    (source / "data.yaml").write_text(json.dumps(text))
    report = imported("yolo", source, tmp_path / "new")
    assert report["splits"] == {"train": 1, "val": 1, "test": 0} and report["unannotated"] == 0


def test_a_yolo_list_takes_no_image_of_another_split_s_folder(tmp_path: Path) -> None:
    source = tmp_path / "src"
    for split, name in (("train", "a"), ("val", "b")):
        picture(source / split / "images" / f"{name}.jpg")
        (source / split / "labels").mkdir()
        (source / split / "labels" / f"{name}.txt").write_text("0 0.1 0.1 0.5 0.1 0.5 0.5\n")
        (source / f"{split}.txt").write_text("a.jpg\nb.jpg\n")
    (source / "data.yaml").write_text(json.dumps({"train": "train.txt", "val": "val.txt", "names": ["hole"]}))
    report = imported("yolo", source, tmp_path / "new")
    assert report["splits"] == {"train": 1, "val": 1, "test": 0}
    assert "images missing, or several of that name" in str(report)


def test_coco_finds_images_by_folder_of_the_split(tmp_path: Path) -> None:
    source = tmp_path / "src"
    for split, level in (("train", 10), ("val", 200)):
        picture(source / f"{split}2017" / "0001.png", level=level)
        image = {"id": 1, "file_name": "0001.png", "width": 30, "height": 20}
        coco(source / "annotations", [image], [SQUARE], f"instances_{split}2017.json")
    report = imported("coco", source, tmp_path / "new")
    assert report["splits"] == {"train": 1, "val": 1, "test": 0}
    levels = {
        stem: read_image(tmp_path / "new" / "images" / f"{stem}.png", "gray")[0, 0]
        for stem in ("train2017_0001", "val2017_0001")
    }
    assert levels == {"train2017_0001": 10, "val2017_0001": 200}


@pytest.mark.parametrize("kind", ["coco", "labelme"])
def test_an_image_of_another_split_does_not_stand_in_for_a_missing_one(kind: str, tmp_path: Path) -> None:
    source = tmp_path / "src"
    for split in ("train", "val"):
        if kind == "coco":
            coco(source / "annotations", [{"id": 1, "file_name": "1.png"}], [SQUARE], f"instances_{split}.json")
        else:
            labelme(source / split / "1.json", "1.png", [SHAPE])
    picture(source / "val" / "1.png")
    report = imported(kind, source, tmp_path / "new")
    assert report["images"] == 1 and not reasons(report, "noted")
    assert reasons(report) == {"images missing, or several of that name": 1}


@pytest.mark.parametrize(("there", "name"), [("raw/1.png", "1.png"), ("raw/val/1.png", "val/1.png")])
def test_coco_takes_images_of_a_folder_without_split_or_that_is_named(there: str, name: str, tmp_path: Path) -> None:
    picture(tmp_path / "src" / there)
    coco(tmp_path / "src" / "annotations", [{"id": 1, "file_name": name}], [SQUARE], "instances_train.json")
    assert imported("coco", tmp_path / "src", tmp_path / "new")["images"] == 1
    if name == "1.png":  # that of the split goes before it
        own = picture(tmp_path / "src" / "raw" / "train" / name, level=7)
        imported("coco", tmp_path / "src", tmp_path / "two")
        assert (tmp_path / "two" / "images" / name).read_bytes() == own.read_bytes()


def test_coco_finds_images_anywhere_by_the_end_of_their_path(tmp_path: Path) -> None:
    picture(tmp_path / "src" / "raw" / "day1" / "a.png")
    coco(tmp_path / "src", [{"id": 1, "file_name": "day1/a.png"}], [SQUARE])
    assert imported("coco", tmp_path / "src", tmp_path / "new")["images"] == 1
    picture(tmp_path / "src" / "other" / "day1" / "a.png")
    told = refused("coco", tmp_path / "src", tmp_path / "two")
    assert "several of that name" in told


def test_nothing_is_written_into_a_folder_that_holds_something(tmp_path: Path) -> None:
    place = tmp_path / "new"
    place.mkdir()
    imported("yolo", SAMPLES / "yolo", place)
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    from .sources import run

    done = run("yolo", SAMPLES / "yolo", place)
    assert done.exit_code == 2 and "not empty" in done.stderr
    assert before == {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}


def test_formats_that_are_not_known(tmp_path: Path) -> None:
    assert "labelme, coco, cvat, yolo, palette, color" in refused("voc", SAMPLES, tmp_path / "new")
