"""Bad annotations: one message that names file and place; and no name leads out of the source."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .sources import SHAPE, SQUARE, coco, imported, labelme, picture, reasons, refused, run

IMAGE = {"id": 1, "file_name": "a.png", "width": 30, "height": 20}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"segmentation": [[1, 2, 3, 4]]}, "annotations[0]: an outline of 4 numbers"),
        ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "annotations[0]: an outline of 7 numbers"),
        ({"segmentation": [[1, 2, 3, 4, 5, None]]}, "annotations[0]: no list of numbers"),
        ({"segmentation": [[1, 2, 3, 4, 5, 1e300]]}, "annotations[0]: no list of numbers"),
        ({"segmentation": "x"}, "annotations[0]: its segmentation is"),
        ({"segmentation": {"size": [20, 30], "counts": [1, 2]}}, "annotations[0]: the run lengths fill 3 pixels"),
        (
            {"segmentation": {"size": [30, 20], "counts": [600]}},
            "annotations[0]: its run lengths are for [height, width]",
        ),
        ({"segmentation": {"size": [20, 30], "counts": "\t"}}, "annotations[0]: the letter"),
        ({"segmentation": {"size": [20, 30], "counts": None}}, "annotations[0]: its run lengths are"),
        ({"image_id": None}, "annotations[0]: needs an image_id"),
        ({"image_id": [1]}, "annotations[0]: needs an image_id"),
    ],
)
def test_coco(change: dict[str, Any], told: str, tmp_path: Path) -> None:
    picture(tmp_path / "src" / "a.png")
    coco(tmp_path / "src", [IMAGE], [SQUARE | change])
    message = refused("coco", tmp_path / "src", tmp_path / "new")
    assert told in message and "a.json" in message


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"points": [[1, 2], [3, 4]]}, "shapes[0]: an outline of 4 numbers"),
        ({"points": [[1, 2], [3]]}, "shapes[0]: its points"),
        ({"points": [[1, 2]], "shape_type": "circle"}, "shapes[0]: a circle of 1 points"),
        ({"label": ""}, "shapes[0]: its label"),
        ({"label": 3}, "shapes[0]: its label"),
        ({"points": [[1, 2], [3, 4]], "shape_type": "mask", "mask": "AAAA"}, "shapes[0].mask: no PNG"),
        ({"points": [[1, 2], [3, 4]], "shape_type": "mask", "mask": None}, "shapes[0].mask: no PNG"),
    ],
)
def test_labelme(change: dict[str, Any], told: str, tmp_path: Path) -> None:
    picture(tmp_path / "src" / "a.png")
    labelme(tmp_path / "src" / "a.json", "a.png", [SHAPE | change])
    message = refused("labelme", tmp_path / "src", tmp_path / "new")
    assert told in message and "a.json" in message


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("0 0.1 0.1 0.5 0.1 0.5", "6 numbers"),
        ("0 10 10 50 10 50 50", "has 10, but coordinates are parts"),
        ("x 0.1 0.1 0.5 0.1 0.5 0.5", "not numbers alone"),
        ("0.5 0.1 0.1 0.5 0.1 0.5 0.5", "no class number"),
        ("0 0.1 0.1 0.5 nan 0.5 0.5", "not finite"),
    ],
)
def test_yolo(line: str, told: str, tmp_path: Path) -> None:
    picture(tmp_path / "src" / "images" / "a.png")
    (tmp_path / "src" / "labels").mkdir()
    (tmp_path / "src" / "labels" / "a.txt").write_text(f"0 0.1 0.1 0.5 0.1 0.5 0.5\n{line}\n")
    (tmp_path / "src" / "data.yaml").write_text("names: {0: hole}\n")
    message = refused("yolo", tmp_path / "src", tmp_path / "new")
    assert told in message and "a.txt: line 2" in message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('<!DOCTYPE a [<!ENTITY b "c">]>\n<annotations>&b;</annotations>', "line 1: a <!DOCTYPE declaration"),
        ("<annotations>\n<image", "line 2: not valid XML"),
        ("<annotations><track/></annotations>", "CVAT for video"),
        ('<annotations><image name="a.png"><polygon label="b" points="1,2;3"/></image></annotations>', "polygon of b"),
        ('<annotations><image name="a.png"><mask label="b" rle="1,2" left="0" top="0" width="2" height="2"/></image>'
         "</annotations>", "mask of b: its rle"),
        ('<annotations><image name="a.png"><box label="b" xtl="inf" ytl="0" xbr="1" ybr="1"/></image></annotations>',
         "its xtl is 'inf'"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_cvat(text: str, told: str, encoding: str, tmp_path: Path) -> None:
    picture(tmp_path / "src" / "a.png")
    (tmp_path / "src" / "annotations.xml").write_text(text, encoding=encoding)
    message = refused("cvat", tmp_path / "src", tmp_path / "new")
    assert told in message and "annotations.xml" in message


@pytest.mark.parametrize("kind", ["labelme", "coco", "cvat", "yolo", "palette", "color"])
@pytest.mark.parametrize("there", [None, "a.json", "a.xml", "data.yaml", "images/a.png"])
def test_what_is_not_the_format(kind: str, there: str | None, tmp_path: Path) -> None:
    (tmp_path / "src" / "images").mkdir(parents=True)
    if there:
        (tmp_path / "src" / there).write_bytes(b"\x00\xff{[<")
    assert str(tmp_path / "src") in refused(kind, tmp_path / "src", tmp_path / "new", "--classes", "a=#ff0000")
    assert "no such folder" in refused(kind, tmp_path / "none", tmp_path / "new")


def write(source: Path, kind: str, name: str) -> None:
    """Two images, the second under a name that is to be refused."""
    picture(source / "images" / "a.png")
    if kind == "coco":
        coco(source, [IMAGE, IMAGE | {"id": 2, "file_name": name}], [SQUARE])
    elif kind == "labelme":
        labelme(source / "a.json", "images/a.png", [SHAPE])
        labelme(source / "b.json", name, [SHAPE])
    elif kind == "cvat":
        shape = '<polygon label="hole" points="1,1;9,1;9,9"/>'
        images = "".join(f'<image name="{one}">{shape}</image>' for one in ("a.png", name))
        (source / "annotations.xml").write_text(f"<annotations>{images}</annotations>")
    else:
        (source / "labels").mkdir()
        (source / "labels" / "a.txt").write_text("0 0.1 0.1 0.5 0.1 0.5 0.5\n")
        (source / "list.txt").write_text(f"images/a.png\n{name}\n")
        (source / "data.yaml").write_text("names: [hole]\ntrain: list.txt\n")


@pytest.mark.parametrize("kind", ["labelme", "coco", "cvat", "yolo"])
@pytest.mark.parametrize("name", ["b" * 400 + ".png", "none.png", "b\u2028.png"])
def test_names_that_no_file_has(kind: str, name: str, tmp_path: Path) -> None:
    write(tmp_path / "src", kind, name)
    report = imported(kind, tmp_path / "src", tmp_path / "new")
    assert report["images"] == 1 and any("missing" in reason for reason in reasons(report))


def test_pictures_in_other_folders_are_no_images(tmp_path: Path) -> None:
    source = tmp_path / "src"
    write(source, "labelme", "images/b.png")
    picture(source / "images" / "b.png")
    picture(source / "images" / "c.png")
    picture(source / "drawn" / "a.png")
    report = imported("labelme", source, tmp_path / "new")
    assert report["images"] == 3 and reasons(report) == {"images in folders where none is annotated": 1}


def test_a_place_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    write(tmp_path / "src", "coco", "images/a.png")
    done = run("coco", tmp_path / "src", tmp_path / "file" / "new")
    assert done.exit_code == 2 and "no folder" in done.stderr and (tmp_path / "file").read_text() == ""


@pytest.mark.parametrize("kind", ["labelme", "coco", "cvat", "yolo"])
@pytest.mark.parametrize("way", ["../secret.png", "absolute", "link"])
def test_no_name_leads_out_of_the_source(kind: str, way: str, tmp_path: Path) -> None:
    secret = picture(tmp_path / "secret.png", level=1)
    source = tmp_path / "src"
    name = {"absolute": str(secret), "link": "images/linked.png"}.get(way, way)
    write(source, kind, name)
    if way == "link":
        (source / "images" / "linked.png").symlink_to(secret)
    report = imported(kind, source, tmp_path / "new")
    assert report["images"] == 1 and any("out of the source" in reason for reason in reasons(report))
    assert [path.read_bytes() != secret.read_bytes() for path in (tmp_path / "new" / "images").iterdir()] == [True]


@pytest.mark.parametrize("source", ["src", "src/../src", "linked", "sub/../linked"])
def test_the_source_may_be_named_in_any_way(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "src", "coco", "../secret.png")
    picture(tmp_path / "secret.png")
    (tmp_path / "sub").mkdir()
    (tmp_path / "linked").symlink_to("src")
    monkeypatch.chdir(tmp_path)
    for place in (Path(source), Path("..") / tmp_path.name / source):
        report = imported("coco", place, Path(f"new{place.parts[0] == '..'}"))
        assert report["images"] == 1 and reasons(report)["images whose name leads out of the source"] == 1
    monkeypatch.chdir(tmp_path / "src")
    assert imported("coco", Path(), tmp_path / "third")["images"] == 1


def test_a_source_of_boxes_alone_does_not_become_all_background(tmp_path: Path) -> None:
    picture(tmp_path / "src" / "a.png")
    box = {"image_id": 1, "category_id": 1, "bbox": [2, 3, 10, 5], "segmentation": []}
    coco(tmp_path / "src", [IMAGE], [box])
    told = refused("coco", tmp_path / "src", tmp_path / "new")
    assert "nothing but background" in told and "--boxes takes them" in told
    assert imported("coco", tmp_path / "src", tmp_path / "new", "--boxes")["objects"] == {"box": 1}


def test_yolo_keypoints_are_no_outlines(tmp_path: Path) -> None:
    write(tmp_path / "src", "yolo", "none.png")
    (tmp_path / "src" / "data.yaml").write_text("names: [hole]\nkpt_shape: [2, 3]\n")
    assert "kpt_shape: these are keypoints" in refused("yolo", tmp_path / "src", tmp_path / "new")


@pytest.mark.parametrize(
    ("train", "val", "told"),
    [
        ("crack\ndent\n", "dent\ncrack\n", "train/classes.txt and val/classes.txt name different classes"),
        ("crack\n\ndent\n", None, "train/classes.txt: line 2: no name; name class 1 there"),
        ("crack\ndent\n crack\n", None, "train/classes.txt: line 3: crack is there twice"),
        ("crack\ndent\n\n \n", "crack\r\ndent", None),
    ],
)
def test_yolo_lists_of_names(train: str, val: str | None, told: str | None, tmp_path: Path) -> None:
    source = tmp_path / "src"
    for split, text in (("train", train), ("val", val)):
        picture(source / split / "images" / f"{split}.png")
        (source / split / "labels").mkdir()
        (source / split / "labels" / f"{split}.txt").write_text("1 0.1 0.1 0.5 0.1 0.5 0.5\n")
        if text is not None:
            (source / split / "classes.txt").write_text(text, newline="")
    if told is not None:
        assert told in refused("yolo", source, tmp_path / "new")
        return
    report = imported("yolo", source, tmp_path / "new")
    assert [one["name"] for one in report["classes"]] == ["background", "crack", "dent"]


def test_links_within_the_source_are_followed(tmp_path: Path) -> None:
    source = tmp_path / "src"
    picture(source / "stored" / "x.png")
    (source / "images").mkdir()
    (source / "images" / "a.png").symlink_to("../stored/x.png")
    coco(source, [IMAGE], [SQUARE])
    assert imported("coco", source, tmp_path / "new")["images"] == 1


def test_broken_json_is_named_by_line(tmp_path: Path) -> None:
    picture(tmp_path / "src" / "a.png")
    (tmp_path / "src" / "a.json").write_text('{"shapes": [],\n "imagePath": \n}')
    for kind in ("labelme", "coco"):
        assert "a.json: line 3" in refused(kind, tmp_path / "src", tmp_path / "new")


def test_marks_of_byte_order_and_odd_names(tmp_path: Path) -> None:
    picture(tmp_path / "src" / "ä b'$(x).png")
    text = json.dumps({"shapes": [SHAPE], "imagePath": "ä b'$(x).png", "imageData": None})
    (tmp_path / "src" / "a.json").write_text(text, encoding="utf-8-sig")
    report = imported("labelme", tmp_path / "src", tmp_path / "new it")
    assert report["next"][0] == f"edgeseg data check '{tmp_path / 'new it'}'"
