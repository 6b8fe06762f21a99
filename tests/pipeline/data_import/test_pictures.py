"""Pictures: taken as they are, turned by their tag, converted without loss, or left out with the reason."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.runtime.data.dataset import open_dataset, read_image

from .sources import SHAPE, SQUARE, coco, imported, labelme, mask, picture, reasons, refused, square, turned_jpeg
from .test_masks import palette_png

# Where the annotation was drawn on the picture as stored, its mask is turned like the picture.
TURNS = {5: lambda a: a.T, 6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a, 2).T, 8: np.rot90}


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_annotations_lie_on_the_picture_they_were_drawn_on(orientation: int, tmp_path: Path) -> None:
    source = tmp_path / "src"
    image = turned_jpeg(source / "a.jpg", (20, 30), orientation)
    coco(source, [{"id": 1, "file_name": "a.jpg", "width": 30, "height": 20}], [SQUARE])
    report = imported("coco", source, tmp_path / "stored")
    assert np.array_equal(mask(tmp_path / "stored", "a"), TURNS[orientation](square((20, 30))))
    assert any("mask turned" in reason for reason in reasons(report, "noted"))
    coco(source, [{"id": 1, "file_name": "a.jpg", "width": 20, "height": 30}], [SQUARE])
    imported("coco", source, tmp_path / "turned")
    assert np.array_equal(mask(tmp_path / "turned", "a"), square((30, 20)))
    for place in (tmp_path / "stored", tmp_path / "turned"):
        assert (place / "images" / "a.jpg").read_bytes() == image.read_bytes()
        assert read_image(place / "images" / "a.jpg", "gray").shape == mask(place, "a").shape


@pytest.mark.parametrize(("size_px", "orientation"), [((20, 20), 6), ((20, 30), 3), ((20, 30), 2)])
def test_what_cannot_be_decided_is_left_out(size_px: tuple[int, int], orientation: int, tmp_path: Path) -> None:
    source = tmp_path / "src"
    turned_jpeg(source / "a.jpg", size_px, orientation)
    picture(source / "b.jpg")
    shown = [
        {"id": 1, "file_name": "a.jpg", "width": size_px[1], "height": size_px[0]},
        {"id": 2, "file_name": "b.jpg"},
    ]
    coco(source, shown, [SQUARE, SQUARE | {"image_id": 2}])
    report = imported("coco", source, tmp_path / "new")
    assert report["images"] == 1 and "orientation tag" in " ".join(reasons(report))


def test_yolo_does_not_say_which_picture_was_drawn_on(tmp_path: Path) -> None:
    turned_jpeg(tmp_path / "src" / "images" / "a.jpg", (20, 30), 6)
    (tmp_path / "src" / "labels").mkdir()
    (tmp_path / "src" / "labels" / "a.txt").write_text("0 0.1 0.1 0.5 0.1 0.5 0.5\n")
    (tmp_path / "src" / "data.yaml").write_text("names: [hole]\n")
    assert "orientation tag is 6" in refused("yolo", tmp_path / "src", tmp_path / "new")


def test_an_annotation_of_another_size_is_not_stretched(tmp_path: Path) -> None:
    source = tmp_path / "src"
    picture(source / "a.png")
    coco(source, [{"id": 1, "file_name": "a.png", "width": 60, "height": 40}], [SQUARE])
    assert "60x40 pixels, the image has 30x20" in refused("coco", source, tmp_path / "new")


def test_palette_pictures_and_pnm_are_converted_without_loss(tmp_path: Path) -> None:
    source = tmp_path / "src"
    ids = np.random.default_rng(0).integers(0, 4, (20, 30), dtype=np.uint8)
    palette_png(source / "a.png", ids)
    pixels = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    cv2.imwrite(str(source / "b.ppm"), pixels)
    for stem, suffix in (("a", "png"), ("b", "ppm")):
        labelme(source / f"{stem}.json", f"{stem}.{suffix}", [SHAPE])
    report = imported("labelme", source, tmp_path / "new")
    # The palette's first entry is transparent, and nothing says on which background it lies.
    assert report["images"] == 1 and "transparent" in " ".join(reasons(report))
    assert np.array_equal(read_image(tmp_path / "new" / "images" / "b.png", "rgb")[..., ::-1], pixels)


def test_deep_pictures_get_a_window_and_other_depths_are_left_out(tmp_path: Path) -> None:
    source = tmp_path / "src"
    source.mkdir()
    deep = np.random.default_rng(0).integers(100, 4000, (20, 30), dtype=np.uint16)
    cv2.imwrite(str(source / "a.png"), deep)
    picture(source / "b.png")
    for stem in ("a", "b"):
        labelme(source / f"{stem}.json", f"{stem}.png", [SHAPE])
    report = imported("labelme", source, tmp_path / "new")
    assert open_dataset(tmp_path / "new").window == (deep.min(), deep.max()) and report["color"] == "gray"
    assert reasons(report) == {"8 bits a channel, unlike the first image": 1}


def test_same_names_in_several_folders_stay_apart(tmp_path: Path) -> None:
    source = tmp_path / "src"
    for index, name in enumerate(("x/a.png", "y/a.png", "y/A.jpg", "x_a.png", "b.png")):
        picture(source / name, level=20 * index)
        labelme(source / f"{index}.json", name, [SHAPE])
    report = imported("labelme", source, tmp_path / "new")
    stems = {path.stem for path in (tmp_path / "new" / "images").iterdir()}
    assert len({stem.casefold() for stem in stems}) == report["images"] == 5 and "b" in stems
    data = open_dataset(tmp_path / "new")
    levels = {int(read_image(sample.image, "gray")[0, 0]) for sample in data.samples}
    assert levels == {0, 20, 40, 60, 80}
    assert any("-> " in example for one in report["noted"] for example in one["examples"])


def test_damaged_pictures_are_left_out(tmp_path: Path) -> None:
    source = tmp_path / "src"
    image = picture(source / "a.jpg", (200, 300))
    image.write_bytes(image.read_bytes()[:500])
    picture(source / "b.jpg")
    for stem in ("a", "b"):
        labelme(source / f"{stem}.json", f"{stem}.jpg", [SHAPE])
    report = imported("labelme", source, tmp_path / "new")
    assert report["images"] == 1 and "truncated" in " ".join(reasons(report))
